package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"agentsync/internal/plan"
	"agentsync/internal/report"
)

// savePlan writes the plan to path, so that 'apply --plan' does what was reviewed.
func (w *workspace) savePlan(path string, p *plan.Plan, paths []string) error {
	if len(paths) == 0 {
		paths = []string{defaultPath}
	}
	var b bytes.Buffer
	err := plan.Save(&b, p, plan.Binding{
		Version: Version, Lineage: w.snap.State.Lineage, Serial: w.snap.State.Serial,
		Paths: paths, Targets: w.flags.targets, Prune: w.flags.prune, Refresh: w.flags.refresh,
	})
	if err == nil {
		// Not for all eyes: digests of what the manifests want, secrets' names included, are in it.
		err = os.WriteFile(path, b.Bytes(), 0o600)
	}
	if err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	return nil
}

// nameLineage gives a state that does not exist yet the lineage under which its first plan is saved.
func (w *workspace) nameLineage() {
	if w.snap.State.Lineage == "" {
		w.snap.State.Lineage = strings.ToLower(rand.Text())
	}
}

// readPlan reads a saved plan.
func readPlan(path string) (*plan.Saved, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &Failure{Code: ExitUsage, Err: fmt.Errorf("read saved plan: %w", err)}
	}
	defer f.Close()
	saved, err := plan.ReadSaved(f, Version)
	if err != nil {
		return nil, &Failure{Code: ExitUsage, Err: fmt.Errorf("%s: %w", path, err)}
	}
	return saved, nil
}

// adopt makes the flags those that the saved plan was made with.
func (f *planFlags) adopt(s *plan.Saved) {
	f.targets, f.prune, f.refresh = s.Targets, s.Prune, s.Refresh
}

// bind gives a state that does not exist yet the lineage of the saved plan.
func (w *workspace) bind(s *plan.Saved) {
	if !w.snap.Exists && len(w.snap.State.Agents) == 0 {
		w.snap.State.Lineage = s.Lineage
	}
}

// hold returns what of the reviewed plan still holds, as of now. What is stale is named; it is an error
// unless partial allows the rest.
func (w *workspace) hold(s *plan.Saved, current *plan.Plan, partial bool) (*plan.Plan, error) {
	holds, stale := s.Check(current, w.snap.State.Lineage)
	reviewed := 0
	for _, st := range stale {
		what := "is stale: "
		if st.New {
			what = "is not in the reviewed plan, and left out: "
		} else {
			reviewed++
		}
		report.Warning(w.app.streams.Err, w.app.style(w.app.streams.Err), st.Address.String()+" "+what+st.Reason, "")
	}
	if reviewed == 0 || partial {
		return holds, nil
	}
	hint := "make and review a new plan:\n  agentsync plan --out FILE"
	if len(holds.Changes) > 0 {
		hint += "\nor apply what still holds of this one:\n  agentsync apply --plan FILE --allow-partial"
	}
	return nil, &Failure{Code: ExitStale, Err: fmt.Errorf("the saved plan is no longer true for %s; nothing was sent", count(reviewed, "agent")), Hint: hint}
}

// checkPlan is 'plan --check FILE'.
func (a *app) checkPlan(ctx context.Context, flags planFlags, path, format string) error {
	saved, err := readPlan(path)
	if err != nil {
		return err
	}
	flags.adopt(saved)
	w, err := a.openWorkspace(ctx, flags, saved.Paths)
	if err != nil {
		return err
	}
	defer w.close()
	w.bind(saved)
	p, err := w.plan(ctx)
	if err != nil {
		return err
	}
	_, stale := saved.Check(p, w.snap.State.Lineage)
	if err := a.writeStale(format, stale); err != nil {
		return err
	}
	if len(stale) > 0 {
		return &Failure{Code: ExitStale}
	}
	return nil
}

// writeStale writes the result of 'plan --check'.
func (a *app) writeStale(format string, stale []plan.Stale) error {
	a.answered = true
	if format == formatJSON {
		type staleDoc struct {
			Address string `json:"address"`
			Reason  string `json:"reason"`
			New     bool   `json:"new"`
		}
		docs := make([]staleDoc, len(stale))
		for i, s := range stale {
			docs[i] = staleDoc{s.Address.String(), s.Reason, s.New}
		}
		enc := json.NewEncoder(a.streams.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			FormatVersion string     `json:"formatVersion"`
			Holds         bool       `json:"holds"`
			Stale         []staleDoc `json:"stale"`
		}{report.FormatVersion, len(stale) == 0, docs})
	}
	var b strings.Builder
	for _, s := range stale {
		fmt.Fprintf(&b, "%s: %s\n", s.Address, s.Reason)
	}
	if len(stale) == 0 {
		b.WriteString("The saved plan is still true.\n")
	} else {
		fmt.Fprintf(&b, "The saved plan is no longer true for %s.\n", count(len(stale), "agent"))
	}
	_, err := a.streams.Out.Write([]byte(b.String()))
	return err
}
