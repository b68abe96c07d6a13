package archtest

import (
	"slices"
	"testing"
)

// rule says what some rooms must not import, and why.
type rule struct {
	// from are the rooms that it binds; all of them where it is empty.
	from []string
	// except are rooms that it does not bind.
	except []string
	// not are the imports that it forbids, but for those in but.
	not, but []string
	// deep forbids them through other packages as well.
	deep bool
	why  string
}

// rules are the import rules of docs/architecture.md.
var rules = []rule{
	{
		except: []string{"./"}, not: []string{"./cli"}, deep: true,
		why: "cli wires the rooms together; a room that knew it would know all of them",
	},
	{
		except: []string{"./", "./cli", "./flags"}, not: []string{"./flags", "./workspace"}, deep: true,
		why: "what a command works on, and its flags, are for commands: a room below them is told what it needs",
	},
	{
		except: []string{"./", "./cli", "./flags", "./workspace", "./ui"}, not: []string{"./ui", "./exit"}, deep: true,
		why: "only a command talks to people and ends with a code; every other room returns errors of its own",
	},
	{
		except: []string{"./", "./cli", "./flags"}, not: []string{"github.com/spf13/cobra", "github.com/spf13/pflag"},
		why: "how something was typed ends where the flags are declared",
	},
	{
		from: []string{"./cli", "./flags"},
		not:  []string{"net/...", "./platform/cometchat", "./platform/mindset", "./state/store/s3"},
		why:  "a command has a workspace to reach platforms and stores by; it opens none",
	},
	{
		from: []string{"./agent", "./diag", "./secret", "./schema"},
		not:  []string{"os", "io/fs", "net/...", "os/...", "context", "time"},
		why:  "the vocabulary is values: what reads, waits or sends is somewhere else",
	},
	{
		from: []string{"./secret", "./diag"}, not: []string{"./..."},
		why: "what every room uses may use none of them",
	},
	{
		from: []string{"./plan"}, not: []string{"context", "net/...", "os", "os/...", "io/fs", "time"},
		why: "a plan is a function of its input: the same input gives the same bytes, whenever and wherever",
	},
	{
		from: []string{"./plan"}, deep: true,
		not: []string{"net/http/...", "./platform/...", "./httpx", "./state", "./manifest", "./apply", "./report"},
		why: "the plan compares values and needs to know neither where they come from nor who sends them",
	},
	{
		from: []string{"./manifest"}, deep: true,
		not: []string{"net/http/...", "./platform/...", "./httpx", "./state", "./plan", "./apply"},
		why: "data flows one way, and validating works offline; platforms are known by their schemas alone",
	},
	{
		from: []string{"./state"}, deep: true,
		not: []string{"net/...", "./platform/...", "./httpx", "./manifest", "./plan", "./apply"},
		why: "state keeps what it is handed, at the end of the one way",
	},
	{
		from: []string{"./platform/..."}, except: []string{"./platform/platformtest"}, deep: true,
		not: []string{"./plan", "./apply", "./state", "./manifest", "./report", "./sandbox"},
		why: "an adapter maps one wire format; what is to be sent, others decide",
	},
	{
		from: []string{"./platform"}, not: []string{"./platform/..."},
		why: "the contract knows no one who keeps it",
	},
	{
		from: []string{"./platform/cometchat"}, not: []string{"./platform/mindset"}, deep: true,
		why: "a platform's oddity must not become another's",
	},
	{
		from: []string{"./platform/mindset"}, not: []string{"./platform/cometchat"}, deep: true,
		why: "a platform's oddity must not become another's",
	},
	{
		from: []string{"./apply"},
		not: []string{"os", "os/...", "io/fs", "net/...", "./httpx", "./manifest", "./report",
			"./platform/cometchat", "./platform/mindset"},
		why: "the guarantee is tested against doubles of disk and platform, so apply may know neither",
	},
	{
		from: []string{"./sandbox/..."}, not: []string{"./..."}, but: []string{"./sandbox/..."}, deep: true,
		why: "a wire type shared with an adapter would hide a mistake on both sides at once",
	},
	{
		from: []string{"./report/..."},
		not:  []string{"os", "os/...", "net/...", "context", "./state", "./platform/...", "./manifest"},
		why:  "a report is a function of what it shows",
	},
	{
		except: []string{"./workspace", "./httpx", "./platform/...", "./sandbox/...", "./state/store/s3"},
		not:    []string{"net/http/..."},
		why:    "requests leave through httpx alone, or the API key's one way has a second; a bucket gets no API key",
	},
	{
		not: []string{"testing", "testing/...", "./archtest", "./docgen", "./mutants", "./openapitest",
			"./platform/platformtest", "./state/statetest", "./state/store/storetest", "./torture",
			"github.com/getkin/kin-openapi/...", "github.com/google/go-cmp/...", "github.com/rogpeppe/go-internal/...",
			"github.com/spf13/cobra/doc", "github.com/yuin/goldmark/..."}, deep: true,
		why: "what is there for tests and for writing documents stays out of the binary",
	},
	{
		not:    []string{"github.com/cenkalti/backoff/v5", "github.com/hashicorp/go-retryablehttp"},
		except: []string{"./platform"},
		why:    "reads are tried again in one place (platform.Caller.Do); a create is never",
	},
}

func TestImports(t *testing.T) {
	all := shipped(rooms(t))
	for _, r := range rules {
		t.Run(r.why, func(t *testing.T) {
			bound := 0
			for _, room := range all {
				if len(r.from) > 0 && !anyMatches(r.from, room.ImportPath) || anyMatches(r.except, room.ImportPath) {
					continue
				}
				bound++
				imports := room.Imports
				if r.deep {
					imports = room.Deps
				}
				for _, path := range imports {
					if path != room.ImportPath && anyMatches(r.not, path) && !anyMatches(r.but, path) {
						t.Errorf("%s imports %s: %s", room.ImportPath, path, r.why)
					}
				}
			}
			if bound == 0 {
				t.Errorf("the rule about %q binds no room", r.why)
			}
		})
	}
}

// TestRulesCatch: a rule's patterns mean what they seem to.
func TestRulesCatch(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"./plan", "agentsync/internal/plan", true},
		{"./plan", "agentsync/internal/platform", false},
		{"./schema", "agentsync/schema", true},
		{"./", module, true},
		{"./...", "agentsync/internal/plan", true},
		{"./...", "context", false},
		{"./platform/...", "agentsync/internal/platform/mindset", true},
		{"net/...", "net", true},
		{"net/...", "net/http", true},
		{"net/...", "network", false},
		{"os", "os/exec", false},
	} {
		t.Run(c.pattern+" "+c.path, func(t *testing.T) {
			if matches(c.pattern, c.path) != c.want {
				t.Errorf("matches(%q, %q) is not %v", c.pattern, c.path, c.want)
			}
		})
	}
}

// TestTestOnlyRoomsExist keeps the list of rooms for tests true.
func TestTestOnlyRoomsExist(t *testing.T) {
	all := rooms(t)
	for _, name := range testOnly {
		if !slices.ContainsFunc(all, func(r room) bool { return r.name() == name }) {
			t.Errorf("there is no room %s", name)
		}
	}
}
