package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v5"

	"agentsync/internal/sandbox"
	"agentsync/internal/state"
	"agentsync/schema"
)

// The commands of the scripts that look at files and processes; those of the sandbox stand in
// main_test.go.

// oneJSON checks that each file, or stdout, holds exactly one JSON document and nothing else.
func oneJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: onejson FILE…")
	}
	for _, name := range args {
		dec := json.NewDecoder(strings.NewReader(ts.ReadFile(name)))
		var doc map[string]any
		if err := dec.Decode(&doc); err != nil {
			ts.Fatalf("%s: %v", name, err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			ts.Fatalf("%s holds more than one document", name)
		}
	}
}

// schemaOf checks that a file, or stdout, is what the published schema of that name describes, and holds no member
// that the schema does not know.
func schemaOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: schemaof NAME FILE")
	}
	bundle, err := schema.Bundle(args[0])
	ts.Check(err)
	var parsed any
	ts.Check(json.Unmarshal(bundle, &parsed))
	closeObjects(parsed)
	strict, err := json.Marshal(parsed)
	ts.Check(err)
	compiled, err := jsonschema.CompileString("schema.json", string(strict))
	ts.Check(err)
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &doc))
	if err := compiled.Validate(doc); err != nil {
		ts.Fatalf("%s is not what schema %s says: %#v", args[1], args[0], err)
	}
}

// closeObjects lets no object of a schema have other members than those that it describes.
func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, ok := node["properties"].(map[string]any); ok {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// hides checks that a word stands neither in stdout nor in stderr nor in any file but the manifests.
func hides(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: hides WORD…")
	}
	texts := map[string]string{"stdout": ts.ReadFile("stdout"), "stderr": ts.ReadFile("stderr")}
	ts.Check(filepath.WalkDir(ts.MkAbs("."), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "manifests":
			return fs.SkipDir
		}
		if !d.IsDir() {
			content, err := os.ReadFile(path)
			texts[path] = string(content)
			return err
		}
		return nil
	}))
	for where, text := range texts {
		for _, word := range args {
			if strings.Contains(text, word) {
				ts.Fatalf("%s shows %q", where, word)
			}
		}
	}
}

// replace replaces a text in a file, which must hold it: replace FILE OLD NEW, where \n is a new line.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	text, lines := ts.ReadFile(args[0]), strings.NewReplacer(`\n`, "\n")
	before, after := lines.Replace(args[1]), lines.Replace(args[2])
	if !strings.Contains(text, before) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, before, after)), 0o666))
}

// holdLock takes a state file's lock, as another run would, until the script ends.
func holdLock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: holdlock STATE")
	}
	holder := state.Holder{PID: 4711, Host: "build-7\x1b[31m", User: "ann", Command: "apply",
		Started: time.Date(2026, 1, 2, 10, 4, 5, 0, time.UTC), RunURL: "https://ci.example.com/runs/12"}
	unlock, err := state.NewFile(ts.MkAbs(args[0])).Lock(context.Background(), holder)
	ts.Check(err)
	ts.Defer(func() { _ = unlock() })
}

// interrupt starts a command, waits until the sandbox has the first request of an operation, sends the
// signals one after the other, and compares the exit code. What it wrote is in stdout and stderr.
//
//	interrupt 130 create INT agentsync apply -y
//	interrupt 130 create=2 INT agentsync apply -y      at the second create
//	interrupt 130 create INT,INT agentsync apply -y
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: interrupt CODE OP SIGNAL[,SIGNAL] COMMAND ARGUMENTS")
	}
	server := serverOf(ts)
	op, nth, _ := strings.Cut(args[1], "=")
	least := 1
	if nth != "" {
		var err error
		least, err = strconv.Atoi(nth)
		ts.Check(err)
	}
	path, err := exec.LookPath(args[3])
	ts.Check(err)
	var stdout bytes.Buffer
	var stderr watched
	cmd := exec.Command(path, args[4:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	received := time.NewTicker(time.Millisecond)
	defer received.Stop()
	for counted(server, op) < least {
		select {
		case <-received.C:
		case err := <-ended:
			ts.Fatalf("it ended before a request of %s: %v\n%s", op, err, stderr.String())
		}
	}
	for name := range strings.SplitSeq(args[2], ",") {
		ts.Check(cmd.Process.Signal(map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM,
			"HUP": syscall.SIGHUP}[name]))
		// Two signals at once would be one: the first must be taken before the second is sent.
		for !strings.Contains(stderr.String(), "agentsync: interrupted") {
			select {
			case <-received.C:
			case err := <-ended:
				ts.Fatalf("it ended before it took the signal: %v\n%s", err, stderr.String())
			}
		}
	}
	<-ended // the exit code tells
	_, _ = ts.Stdout().Write(stdout.Bytes())
	_, _ = ts.Stderr().Write([]byte(stderr.String()))
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// arrived waits until the sandbox has so many requests of an operation: arrived create 1.
func arrived(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: arrived OP COUNT")
	}
	server := serverOf(ts)
	least, err := strconv.Atoi(args[1])
	ts.Check(err)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for counted(server, args[0]) < least {
		<-look.C
	}
}

// watched is a buffer that can be read while a process writes to it.
type watched struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// environ is the script's environment as far as the tool reads it.
func environ(ts *testscript.TestScript) []string {
	env := []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "GORACE=" + ts.Getenv("GORACE")}
	for _, name := range []string{"AGENTSYNC_STATE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_EC2_METADATA_DISABLED", "COMETCHAT_API_KEY", "MINDSET_API_KEY", "NO_COLOR", "AGENTSYNC_PARALLELISM",
		"AGENTSYNC_COMETCHAT_ENDPOINT", "AGENTSYNC_MINDSET_ENDPOINT"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// outside changes an agent as someone else would, by a call of the platform's API.
//
//	outside PATCH mindset/acme UID '{"agentName": "New"}'
//	outside DELETE cometchat/2754abc UID
//	outside POST mindset/acme '' '{"agentName": "New"}'
func outside(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: outside METHOD PLATFORM/APP UID [BODY]")
	}
	platform, app, _ := strings.Cut(args[1], "/")
	path, one, header := "/cometchat/"+app+"/v3/ai-agents/agents", "/", "apikey"
	if platform == sandbox.Mindset {
		path, one, header = "/api/v1/appuid/"+app+"/agents", "/uid/", "x-api-key"
	}
	if args[2] != "" {
		path += one + args[2]
	}
	body := ""
	if len(args) > 3 {
		body = args[3]
	}
	req := httptest.NewRequest(args[0], "http://localhost"+path, strings.NewReader(body))
	req.Header.Set(header, "someone-else")
	req.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	serverOf(ts).ServeHTTP(answer, req)
	if answer.Code != 200 {
		ts.Fatalf("%s %s: %d %s", args[0], path, answer.Code, answer.Body)
	}
}
