package cli

import (
	"bytes"
	"context"
	"fmt"

	"agentsync/internal/report"
)

// tell writes the result: the YAML to paste, or what the next plan does where a manifest has the agent.
func (im *importer) tell(ctx context.Context, known bool) error {
	said := fmt.Sprintf("imported %s (uid %s)", im.addr, im.uid)
	if known {
		said = fmt.Sprintf("%s has the uid %s in state already", im.addr, im.uid)
	}
	if !im.app.common.quiet {
		fmt.Fprintln(im.app.streams.Err, said)
	}
	inManifest := im.wanted != nil || im.flags.write != ""
	if im.drawn != nil {
		im.drawn.warn(im.app)
	}
	if im.flags.format.value == formatJSON {
		return im.tellJSON(!known, inManifest)
	}
	if !inManifest {
		if !im.app.common.quiet {
			fmt.Fprintf(im.app.streams.Err, "put this into a manifest, below agents: of %s\n", im.addr.ID())
		}
		_, err := im.app.streams.Out.Write(im.drawn.item())
		return err
	}
	return im.showNext(ctx)
}

// showNext prints what the next plan will do with the agent.
func (im *importer) showNext(ctx context.Context) error {
	next := planFlags{state: im.flags.state, targets: []string{im.addr.String()}, connectFlags: im.flags.connectFlags}
	w, err := im.app.openWorkspace(ctx, next, im.pathsWith(im.flags.write))
	if err != nil {
		return err
	}
	defer w.close()
	p, err := w.build(nil)
	if err != nil {
		return err
	}
	im.app.answered = true
	return report.PlanText(im.app.streams.Out, p, im.app.style(im.app.streams.Out))
}

func (im *importer) tellJSON(imported, inManifest bool) error {
	doc := struct {
		FormatVersion string        `json:"formatVersion"`
		Address       string        `json:"address"`
		UID           string        `json:"uid"`
		Imported      bool          `json:"imported"`
		Manifest      string        `json:"manifest,omitempty"`
		Secrets       []variableDoc `json:"secrets"`
	}{report.FormatVersion, im.addr.String(), im.uid, imported, "", []variableDoc{}}
	if im.drawn != nil {
		doc.Secrets = im.drawn.variableDocs()
		if !inManifest {
			doc.Manifest = string(bytes.TrimRight(im.drawn.item(), "\n")) + "\n"
		}
	}
	im.app.answered = true
	return writeJSON(im.app.streams.Out, doc)
}
