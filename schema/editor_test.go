package schema_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"agentsync/schema"
)

// modules is where npm puts the packages of testdata/editor.
const modules = "testdata/editor/node_modules"

// needNode skips a test where Node.js or the packages are missing; in CI they must be there.
func needNode(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("node")
	if _, missing := os.Stat(modules); err == nil {
		err = missing
	}
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skipf("%v: (cd schema/testdata/editor && npm ci --ignore-scripts) installs what this test needs", err)
	}
}

// writeBundles writes each schema as `agentsync schema NAME` prints it.
func writeBundles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range schema.Names() {
		b, err := schema.Bundle(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".schema.json"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestStrictValidatorTakesSchemas(t *testing.T) {
	needNode(t)
	out, err := exec.CommandContext(t.Context(), "node", "testdata/editor/compile.js", writeBundles(t)).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestEditor opens manifests in the language server that VS Code and others run, beside the schema that init writes.
func TestEditor(t *testing.T) {
	needNode(t)
	e := startEditor(t, writeBundles(t))

	t.Run("good manifests draw no diagnostics", func(t *testing.T) {
		for _, pattern := range []string{"../manifests/*.yaml", "../internal/cli/initfiles/[cm]*.yaml"} {
			paths, err := filepath.Glob(pattern)
			if err != nil || len(paths) == 0 {
				t.Fatal(pattern, err)
			}
			for _, path := range paths {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if got := e.open(t, versioned(string(text))); len(got) > 0 {
					t.Errorf("%s: %v", path, got)
				}
			}
		}
	})

	for _, c := range []struct{ name, text, line, want string }{
		{"a misspelt field", "agentPurpos: Help.", "agentPurpos", "agentPurpos"},
		{"a value of another set", "access: open", "access", "openAccess"},
		{"a field of the other version", "personality: {preset: friendly}", "personality", "personality"},
		{"a key of another form", "key: One", "key", "starts with a letter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// a key of its own is the only one
			text := strings.ReplaceAll(fleetOf("v1", c.text), "key: first\n      key", "key")
			got := e.open(t, text)
			if len(got) == 0 || !strings.Contains(fmt.Sprint(got), c.want) {
				t.Errorf("%s\ndiagnostics %v, want one with %q", text, got, c.want)
			}
			for _, d := range got {
				if line := strings.Split(text, "\n")[d.Range.Start.Line]; !strings.Contains(line, c.line) {
					t.Errorf("%q stands at the line %q", d.Message, line)
				}
			}
		})
	}

	for _, c := range []struct{ name, api, text, at, want string }{
		{"a field of v1", "v1", "agentPersonality: Warm.", "agentPersonality", "tone"},
		{"a policy of v2", "v2", "policies:\n        focusAndScope: {enabled: true}", "focusAndScope",
			"what it is for"},
	} {
		t.Run("hover over "+c.name, func(t *testing.T) {
			text := fleetOf(c.api, c.text)
			if got := e.open(t, text); len(got) > 0 {
				t.Errorf("diagnostics %v", got)
			}
			hover := e.call(t, "textDocument/hover", e.position(text, c.at))
			if !strings.Contains(string(hover), c.want) {
				t.Errorf("hover over %s: %s, want %q in it", c.at, hover, c.want)
			}
		})
	}

	for _, c := range []struct{ api, want, not string }{
		{"v1", "agentPersonality", "templateAgentUid"},
		{"v2", "templateAgentUid", "agentPersonality"},
	} {
		t.Run("completion of "+c.api, func(t *testing.T) {
			text := fleetOf(c.api, "HERE")
			text = strings.Replace(text, "HERE", "", 1)
			e.open(t, text)
			lines := strings.Split(text, "\n")
			at := map[string]any{"textDocument": map[string]any{"uri": e.uri},
				"position": map[string]any{"line": len(lines) - 2, "character": len(lines[len(lines)-2])}}
			var list struct {
				Items []struct{ Label string }
			}
			if err := json.Unmarshal(e.call(t, "textDocument/completion", at), &list); err != nil {
				t.Fatal(err)
			}
			labels := fmt.Sprint(list.Items)
			if !strings.Contains(labels, "{"+c.want+"}") || strings.Contains(labels, "{"+c.not+"}") {
				t.Errorf("completion %s, want %s and not %s", labels, c.want, c.not)
			}
		})
	}
}

// fleetOf is a manifest with one Mindset agent and a line of its own.
func fleetOf(api, line string) string {
	return versioned("mindset:\n  appUid: acme\n  api: " + api +
		"\n  agents:\n    - agentName: First\n      key: first\n      " + line + "\n")
}

// versioned is text as a manifest that names its schema.
func versioned(text string) string {
	if !strings.Contains(text, "version: 1") {
		text = "version: 1\n" + text
	}
	return "# yaml-language-server: $schema=manifest.schema.json\n" + text
}

// editor talks to a language server as an editor does.
type editor struct {
	to   io.Writer
	dir  string
	uri  string
	next int

	mu      sync.Mutex
	answers map[string]chan json.RawMessage // by id
	found   map[string]chan []diagnostic    // by uri
}

type diagnostic struct {
	Message string
	Range   struct{ Start struct{ Line, Character int } }
}

// message is one message of the Language Server Protocol, either way.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

func startEditor(t *testing.T, dir string) *editor {
	t.Helper()
	server := exec.CommandContext(t.Context(), "node", modules+"/yaml-language-server/bin/yaml-language-server",
		"--stdio")
	to, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	e := &editor{to: to, dir: dir, answers: map[string]chan json.RawMessage{}, found: map[string]chan []diagnostic{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.read(bufio.NewReader(from))
	}()
	t.Cleanup(func() { // the end of its input ends the server, and with it the reader
		_ = to.Close()
		_ = server.Process.Kill()
		<-done
		_ = server.Wait()
	})
	e.call(t, "initialize", map[string]any{
		"processId": nil, "rootUri": "file://" + dir,
		"capabilities": map[string]any{
			"workspace":    map[string]any{"configuration": true},
			"textDocument": map[string]any{"hover": map[string]any{"contentFormat": []string{"plaintext"}}},
		},
	})
	e.send(t, message{Method: "initialized"}, map[string]any{})
	return e
}

// open opens text as a new file and returns what the server says of it.
func (e *editor) open(t *testing.T, text string) []diagnostic {
	t.Helper()
	e.next++
	e.uri = fmt.Sprintf("file://%s/%d.yaml", e.dir, e.next)
	found := make(chan []diagnostic, 1)
	e.mu.Lock()
	e.found[e.uri] = found
	e.mu.Unlock()
	e.send(t, message{Method: "textDocument/didOpen"}, map[string]any{
		"textDocument": map[string]any{"uri": e.uri, "languageId": "yaml", "version": 1, "text": text}})
	select {
	case d := <-found:
		return d
	case <-t.Context().Done():
		t.Fatal("no diagnostics")
		return nil
	}
}

// position is where word begins in the file that was opened last.
func (e *editor) position(text, word string) map[string]any {
	before, _, _ := strings.Cut(text, word)
	line := strings.Count(before, "\n")
	return map[string]any{"textDocument": map[string]any{"uri": e.uri},
		"position": map[string]any{"line": line, "character": len(before) - strings.LastIndex(before, "\n") - 1}}
}

// call sends a request and waits for its answer.
func (e *editor) call(t *testing.T, method string, params any) json.RawMessage {
	t.Helper()
	e.next++
	id := strconv.Itoa(e.next)
	answer := make(chan json.RawMessage, 1)
	e.mu.Lock()
	e.answers[id] = answer
	e.mu.Unlock()
	e.send(t, message{ID: json.RawMessage(id), Method: method}, params)
	select {
	case got := <-answer:
		return got
	case <-t.Context().Done():
		t.Fatal("no answer to " + method)
		return nil
	}
}

func (e *editor) send(t *testing.T, m message, params any) {
	t.Helper()
	b, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	m.Params = b
	if err := e.write(m); err != nil {
		t.Fatal(err)
	}
}

func (e *editor) write(m message) error {
	m.Version = "2.0"
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.to, "Content-Length: %d\r\n\r\n%s", len(b), b)
	return err
}

// read hands out what the server sends until it ends, and answers what it asks.
func (e *editor) read(from *bufio.Reader) {
	for {
		head, err := textproto.NewReader(from).ReadMIMEHeader()
		if err != nil {
			return
		}
		length, err := strconv.Atoi(head.Get("Content-Length"))
		if err != nil {
			return
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		var m message
		if json.Unmarshal(body, &m) != nil {
			return
		}
		switch {
		case m.Method == "workspace/configuration":
			_ = e.write(message{ID: m.ID, Result: settingsFor(m.Params)}) // a server that is gone needs no answer
		case m.Method == "textDocument/publishDiagnostics":
			e.diagnose(m.Params)
		case m.Method != "" && m.ID != nil:
			_ = e.write(message{ID: m.ID, Result: json.RawMessage("null")}) // as above
		case m.ID != nil:
			e.mu.Lock()
			answer := e.answers[string(m.ID)]
			e.mu.Unlock()
			answer <- bytes.Join([][]byte{m.Result, m.Error}, nil)
		}
	}
}

// settingsFor answers what the server asks of its settings: nothing is fetched.
func settingsFor(params json.RawMessage) json.RawMessage {
	var asked struct{ Items []struct{ Section string } }
	if json.Unmarshal(params, &asked) != nil {
		return json.RawMessage("[]")
	}
	settings := make([]any, len(asked.Items))
	for i, item := range asked.Items {
		settings[i] = map[string]any{}
		if item.Section == "yaml" {
			settings[i] = map[string]any{"validate": true, "hover": true, "completion": true,
				"schemaStore": map[string]any{"enable": false}}
		}
	}
	b, _ := json.Marshal(settings) // maps of strings and booleans
	return b
}

func (e *editor) diagnose(params json.RawMessage) {
	var p struct {
		URI         string
		Diagnostics []diagnostic
	}
	if json.Unmarshal(params, &p) != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if found := e.found[p.URI]; found != nil {
		select {
		case found <- p.Diagnostics:
		default: // the server says it again
		}
	}
}
