package sandbox_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/sandbox"
)

// again opens the file as the next process would.
func again(t *testing.T, path string) *sandbox.Server {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{File: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestFileKeepsWhatWasAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "sandbox.json")
	r := start(t, sandbox.Options{File: path, ShowDeleted: true})
	a := r.create(comet, fullComet)["uid"].(string)
	b := r.create(cometApp, newComet)["uid"].(string)
	c := r.create(mind, fullMind)["uid"].(string)
	d := r.create(mind, newMind)["uid"].(string)
	r.must(200, "PATCH", comet+"/"+a, `{"name":"Renamed","tools":[]}`)
	r.must(200, "PATCH", mind+"/uid/"+c, `{"tags":["one","two"]}`)
	r.must(200, "DELETE", cometApp+"/"+b, "")
	r.must(200, "DELETE", mind+"/uid/"+d, "")
	want, list := r.Agents("", ""), r.send("GET", comet, "").body

	// kill -9 leaves the file as it is at this moment, and no lock.
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	if _, err := sandbox.New(sandbox.Options{File: path}); !errors.Is(err, sandbox.ErrInUse) {
		t.Errorf("a second server: %v", err)
	}
	killed := filepath.Join(t.TempDir(), "killed.json")
	if err := os.WriteFile(killed, append(saved, `{"platform":"mindset","app":"ac`...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := r.send("POST", comet, newComet); got.status != 500 {
		t.Errorf("a create after the close: %d", got.status)
	}
	for _, p := range []string{path, killed} {
		next := serve(t, nil, sandbox.Options{File: p, ShowDeleted: true})
		if diff := cmp.Diff(want, next.Agents("", "")); diff != "" {
			t.Errorf("%s: %s", p, diff)
		}
		if got := next.send("GET", comet, "").body; got != list {
			t.Errorf("listed\n%s, before\n%s", got, list)
		}
		if got := next.send("GET", cometApp, "").body; !strings.Contains(got, b) {
			t.Errorf("the deleted agent is forgotten: %s", got)
		}
		next.create(mind, newMind) // appends behind the torn line's place
		if err := next.Close(); err != nil {
			t.Fatal(err)
		}
		if n := len(again(t, p).Agents("", "")); n != len(want)+1 {
			t.Errorf("%s: %d agents, want %d", p, n, len(want)+1)
		}
	}
}

func TestFileGrowsWithChangesAndShrinksAtTheNextStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sandbox.json")
	r := start(t, sandbox.Options{File: path})
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	one := mind + "/uid/" + r.create(mind, newMind)["uid"].(string)
	first := size()
	for i := range 150 {
		r.must(200, "PATCH", one, fmt.Sprintf(`{"agentPurpose":"%d"}`, i))
	}
	grown := size()
	if perChange := (grown - first) / 150; perChange > 500 {
		t.Errorf("%d bytes a change", perChange)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := again(t, path).Agents("", "")[0].Fields["agentPurpose"]; got != "149" {
		t.Errorf("agentPurpose %v", got)
	}
	if got := size(); got > 2*first {
		t.Errorf("%d bytes after the next start, %d for one agent", got, first)
	}
}

func TestResetEmptiesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sandbox.json")
	r := start(t, sandbox.Options{File: path})
	r.create(mind, newMind)
	r.must(200, "POST", "/_sandbox/reset", "")
	if r.made() != 0 || len(r.Counts().Requests) != 0 {
		t.Errorf("%d agents, %v", r.made(), r.Counts())
	}
	r.create(comet, newComet)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := again(t, path).Agents("", ""); len(got) != 1 || got[0].Platform != "cometchat" {
		t.Errorf("the next start sees %v", got)
	}
}

func TestDamagedFilesAreRefusedWithTheWayBack(t *testing.T) {
	good := `{"agentsyncSandbox":1}` + "\n"
	for name, tc := range map[string]struct{ content, want string }{
		"foreign":         {"{\n  \"version\": 1\n}\n", "is no sandbox file: name another one, or move it away"},
		"other version":   {`{"agentsyncSandbox":2}` + "\n", "is no sandbox file"},
		"damaged line":    {good + "{]\n", ":2: the line is damaged: delete the line"},
		"foreign line":    {good + `{"platform":"other","app":"a","uid":"u"}` + "\n", ":2: the line is damaged"},
		"line without id": {good + `{"platform":"mindset","app":"a"}` + "\n", ":2: the line is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sandbox.json")
			if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := sandbox.New(sandbox.Options{File: path})
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
			if got, _ := os.ReadFile(path); string(got) != tc.content {
				t.Errorf("the file was changed to %q", got)
			}
		})
	}
	if _, err := sandbox.New(sandbox.Options{File: t.TempDir()}); err == nil {
		t.Error("a folder was taken for a file")
	}
}
