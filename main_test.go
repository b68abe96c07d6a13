package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"agentsync/internal/sandbox"
)

// TestMain lets scripts run the real main under the name agentsync.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"agentsync": main})
}

// TestScript runs testdata/script: one behaviour of one command a file, against the sandbox over HTTP.
func TestScript(t *testing.T) {
	testscript.Run(t, scriptParams("testdata/script"))
}

// scriptParams are those of the scripts in a folder.
func scriptParams(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		UpdateScripts:       os.Getenv("AGENTSYNC_GOLDEN") != "",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup:               setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sandbox":  startSandbox,
			"faults":   setFaults,
			"live":     liveAgents,
			"fields":   liveFields,
			"requests": requests,
			"exitcode": exitCode,
			"mask":     mask,

			"onejson":   oneJSON,
			"schemaof":  schemaOf,
			"hides":     hides,
			"replace":   replace,
			"outside":   outside,
			"loose":     startLoose,
			"holdlock":  holdLock,
			"interrupt": interrupt,

			"arrived":    arrived,
			"bucket":     startBucket,
			"bucketis":   bucketIs,
			"object":     object,
			"holdshared": holdShared,
		},
	}
}

// setupScript gives each script an environment without the caller's platforms and colours.
func setupScript(env *testscript.Env) error {
	env.Setenv("COMETCHAT_API_KEY", "test-key-cometchat")
	env.Setenv("MINDSET_API_KEY", "test-key-mindset")
	env.Setenv("AGENTSYNC_COMETCHAT_ENDPOINT", "http://127.0.0.1:1/v3") // nobody listens there
	env.Setenv("AGENTSYNC_MINDSET_ENDPOINT", "http://127.0.0.1:1")
	env.Setenv("AGENTSYNC_PARALLELISM", "1") // so that uids and lines have an order
	env.Setenv("NO_COLOR", "1")
	env.Setenv("GORACE", os.Getenv("GORACE"))
	env.Setenv("LF", "\n")
	return nil
}

// startSandbox starts a sandbox, its uids counted from 1 in each app, and points both endpoint
// variables at it. Its arguments are fault rules, or the options page-size=N, wrapped, millis, masked,
// list-end=STATUS, key=KEY, tools=, actions=, contexts= with names between commas, and references= with lines of a file
// of references between semicolons.
func startSandbox(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! sandbox")
	}
	o := sandbox.Options{UIDs: countingUIDs()}
	var rules []string
	for _, arg := range args {
		if !setOption(&o, arg) {
			rules = append(rules, arg)
		}
	}
	var err error
	o.Faults, err = sandbox.ParseFaults(rules...)
	ts.Check(err)
	server, err := sandbox.New(o)
	ts.Check(err)
	h := httptest.NewServer(server)
	ts.Defer(func() {
		h.CloseClientConnections()
		h.Close()
		_ = server.Close()
	})
	ts.Setenv("SANDBOX", h.URL)
	ts.Setenv("AGENTSYNC_COMETCHAT_ENDPOINT", h.URL+"/cometchat/{app}/v3")
	ts.Setenv("AGENTSYNC_MINDSET_ENDPOINT", h.URL)
	servers.Store(ts, server)
}

// servers holds the sandbox of each script that runs.
var servers sync.Map

func serverOf(ts *testscript.TestScript) *sandbox.Server {
	s, ok := servers.Load(ts)
	if !ok {
		ts.Fatalf("start a sandbox first")
	}
	return s.(*sandbox.Server)
}

// setOption sets what arg says, and is false where it is no option.
func setOption(o *sandbox.Options, arg string) bool {
	name, value, _ := strings.Cut(arg, "=")
	n, _ := strconv.Atoi(value)
	switch name {
	case "page-size":
		o.PageSize = n
	case "wrapped":
		o.WrappedList = true
	case "millis":
		o.Millis = true
	case "list-end":
		o.ListEnd = n
	case "tools":
		o.Tools = strings.Split(value, ",")
	case "actions":
		o.Actions = strings.Split(value, ",")
	case "contexts":
		o.Contexts = strings.Split(value, ",")
	case "references":
		var err error
		o.References, err = sandbox.ParseReferences(strings.ReplaceAll(value, ";", "\n"))
		return err == nil
	case "masked":
		o.MaskHeaders = true
	case "key":
		o.Keys = []string{value}
	default:
		return false
	}
	return true
}

// countingUIDs gives each app's agents uids in the platform's form, counted from 1.
func countingUIDs() func(platform, app string) string {
	var mu sync.Mutex
	next := map[string]int{}
	return func(platform, app string) string {
		mu.Lock()
		defer mu.Unlock()
		next[platform+"/"+app]++
		n := next[platform+"/"+app]
		if platform == sandbox.Mindset {
			return fmt.Sprintf("MINDSETAGENT%08d", n)
		}
		return fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	}
}

// setFaults replaces the sandbox's faults.
func setFaults(ts *testscript.TestScript, neg bool, args []string) {
	faults, err := sandbox.ParseFaults(args...)
	ts.Check(err)
	serverOf(ts).SetFaults(faults)
}

// liveAgents writes what is live to stdout, one agent a line: platform/app, uid, name. With an
// argument it compares the number of agents instead: live 3.
func liveAgents(ts *testscript.TestScript, neg bool, args []string) {
	agents := serverOf(ts).Agents("", "")
	if len(args) == 1 {
		if want, err := strconv.Atoi(args[0]); err != nil || (len(agents) == want) == neg {
			ts.Fatalf("%d agents are live", len(agents))
		}
		return
	}
	var lines []string
	for _, a := range agents {
		lines = append(lines, fmt.Sprintf("%s/%s %s %s\n", a.Platform, a.App, a.UID, a.Name))
	}
	slices.Sort(lines)
	fmt.Fprint(ts.Stdout(), strings.Join(lines, ""))
}

// liveFields writes fields of what is live to stdout as they really are there, one agent a line: uid and
// the fields in the order of their names that it has, as JSON: fields tags metaData.
func liveFields(ts *testscript.TestScript, neg bool, args []string) {
	for _, a := range serverOf(ts).Agents("", "") {
		shown := map[string]any{}
		for _, name := range args {
			if v, ok := a.Fields[name]; ok {
				shown[name] = v
			}
		}
		line, err := json.Marshal(shown)
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%s %s\n", a.UID, line)
	}
}

// requests compares how many requests of an operation the sandbox has answered: requests create 3.
func requests(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: requests OP N")
	}
	got := counted(serverOf(ts), args[0])
	if want, err := strconv.Atoi(args[1]); err != nil || (got == want) == neg {
		ts.Fatalf("%d requests of %s", got, args[0])
	}
}

// counted returns how many requests of an operation the sandbox has had.
func counted(server *sandbox.Server, op string) int {
	n := 0
	for _, ops := range server.Counts().Requests {
		n += ops[op]
	}
	return n
}

// exitCode runs a command and compares its exit code: exitcode 4 agentsync validate.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N COMMAND ARGUMENTS")
	}
	want := args[0]
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != want {
		ts.Fatalf("exit code %s, want %s\n%s", got, want, ts.ReadFile("stderr"))
	}
}

// mask replaces what differs from run to run in a file, or in stdout or stderr: the sandbox's address,
// times and the lineage.
func mask(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: mask FROM TO")
	}
	text := ts.ReadFile(args[0])
	for _, r := range volatile {
		text = r.pattern.ReplaceAllString(text, r.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o666))
}

var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "HOST"},
	{regexp.MustCompile(`"lineage": "[^"]+"`), `"lineage": "LINEAGE"`},
	{regexp.MustCompile(`lineage x?[0-9a-f]{32}|and x[0-9a-f]{32}`), "LINEAGE"},
	{regexp.MustCompile(`"(value|template)": "[0-9a-f]{32}"`), `"$1": "HASH"`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?`), "TIME"},
}
