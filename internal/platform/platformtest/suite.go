package platformtest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/sandbox"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// Fixture is what the suite needs to know of an adapter.
type Fixture struct {
	Platform platform.Platform
	// App is an app of the platform whose documented base URL can be made.
	App agent.App
	// BasePath is where the sandbox serves that app: "/cometchat/demo/v3", or "".
	BasePath string
	// Document is the platform's contract, by its name in testdata/openapi.
	Document string
	// Full is an agent with every field of the schema, each with a value that is not its default.
	Full agent.Fields
	// NullLists: the platform may write an empty list as null.
	NullLists bool
	// Change is another value for every field that can be changed.
	Change agent.Fields
	// Cleared is what the platform shows of fields that were sent empty, where that is something else.
	Cleared agent.Fields
}

// schema is that of the version of the API that the fixture's app uses.
func (f Fixture) schema() *schema.Platform { return f.Platform.Schema().Version(schema.APIOf(f.App)) }

// Run runs the conformance suite: what platform.Client promises, over HTTP against the sandbox, every
// request and answer held against the published contract.
func Run(t *testing.T, fixture func(t *testing.T) Fixture) {
	f := fixture(t)
	for name, test := range map[string]func(*testing.T, Fixture){
		"Fixture":     testFixture,
		"RoundTrip":   testRoundTrip,
		"EachField":   testEachField,
		"Delete":      testDelete,
		"Read":        testRead,
		"Mark":        testMark,
		"Encodings":   testEncodings,
		"Concurrency": testConcurrency,
		"Key":         testKey,
		"Unsent":      testUnsent,
		"Create":      testCreateFaults,
		"Change":      testChangeFaults,
		"List":        testListFaults,
		"ListEnds":    testListEnds,
		"Odd":         testOdd,
		"Echoes":      testEchoes,
	} {
		t.Run(name, func(t *testing.T) { test(t, f) })
	}
}

// testFixture makes sure that the other tests look at every field there is.
func testFixture(t *testing.T, f Fixture) {
	if _, err := f.Platform.BaseURL(f.App); err != nil {
		t.Errorf("base URL: %v", err)
	}
	for _, field := range f.schema().Fields {
		if field.CreateOnly {
			continue // never answered, so that nothing can be compared with it
		}
		full, ok := f.Full[field.Name]
		if !ok || agent.Equal(full, field.Cleared()) {
			t.Errorf("Full.%s is missing or the default", field.Name)
		}
		if _, ok := f.Change[field.Name]; ok == field.Immutable {
			t.Errorf("Change.%s: there %v, immutable %v", field.Name, ok, field.Immutable)
		}
	}
}

func testRoundTrip(t *testing.T, f Fixture) {
	r := newRig(t, f)
	made, err := r.client.Create(t.Context(), agent.ContentOf(f.Full))
	if err != nil {
		t.Fatal(err)
	}
	live := r.agents()
	if len(live) != 1 || live[0].UID != made.UID {
		t.Fatalf("create answered %q, there are %v", made.UID, live)
	}
	equal(t, "created", f.Full, made.Content.Fields())
	if !made.CreatedAt.Equal(live[0].CreatedAt) {
		t.Errorf("created at %v, want %v", made.CreatedAt, live[0].CreatedAt)
	}
	listed := r.list()
	if len(listed) != 1 || listed[0].UID != made.UID {
		t.Fatalf("list: %v", listed)
	}
	equal(t, "listed", f.Full, listed[0].Content.Fields())

	minimal := agent.Fields{}
	for _, field := range f.schema().Fields {
		if field.Required {
			minimal[field.Name] = f.Full[field.Name]
		}
	}
	if _, err := r.client.Create(t.Context(), agent.ContentOf(minimal)); err != nil {
		t.Errorf("an agent with nothing but what is required: %v", err)
	}
}

// testEachField changes one field after the other, and takes each away again.
func testEachField(t *testing.T, f Fixture) {
	r := newRig(t, f)
	made, err := r.client.Create(t.Context(), agent.ContentOf(f.Full))
	if err != nil {
		t.Fatal(err)
	}
	want := f.Full.Clone()
	update := func(what, name string, v any) {
		want[name] = v
		if shown, ok := f.Cleared[name]; ok && what == "clear" {
			want[name] = shown
		}
		answered, err := r.client.Update(t.Context(), made.UID, agent.Fields{name: v})
		if err != nil {
			t.Errorf("%s %s: %v", what, name, err)
			return
		}
		if answered.UID != made.UID {
			t.Errorf("%s %s: answered agent %q", what, name, answered.UID)
		}
		if !answered.Content.IsZero() {
			equal(t, what+" "+name+" answered", want, answered.Content.Fields())
		}
		equal(t, what+" "+name+" listed", want, r.list()[0].Content.Fields())
	}
	for _, field := range f.schema().Fields {
		if field.Immutable || field.CreateOnly {
			continue
		}
		update("change", field.Name, f.Change[field.Name])
		if !field.Required && !field.KeepsValue {
			update("clear", field.Name, field.Cleared())
		}
	}
}

func testDelete(t *testing.T, f Fixture) {
	r := newRig(t, f, sandbox.WithDeleted()) // deleted agents stay in a list that shows them
	made, err := r.client.Create(t.Context(), agent.ContentOf(f.Full))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.client.Delete(t.Context(), made.UID); err != nil {
		t.Errorf("delete: %v", err)
	}
	// Nobody below apply decides that an agent is gone.
	if err := r.client.Delete(t.Context(), made.UID); !errors.Is(err, platform.ErrNotFound) || platform.ClassOf(err) != platform.Refused {
		t.Errorf("delete of an agent that is gone: %v", err)
	}
	if got := r.list(); len(got) != 0 || len(r.agents()) != 0 {
		t.Errorf("after the delete: %v", got)
	}
	_, err = r.client.Update(t.Context(), made.UID, someChange(f))
	if !errors.Is(err, platform.ErrNotFound) || platform.ClassOf(err) != platform.Refused {
		t.Errorf("update of an agent that is gone: %v", err)
	}
}

func testRead(t *testing.T, f Fixture) {
	r := newRig(t, f)
	if !r.client.Properties().ReadsOne {
		_, err := r.client.Read(t.Context(), "some-uid")
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a read that there is not: %v", err)
		}
		wantUnsent(t, "a read that there is not", err)
		return
	}
	made, err := r.client.Create(t.Context(), agent.ContentOf(f.Full))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.client.Read(t.Context(), made.UID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "read", f.Full, got.Content.Fields())
	if err := r.client.Delete(t.Context(), made.UID); err != nil {
		t.Fatal(err)
	}
	_, err = r.client.Read(t.Context(), made.UID)
	if !errors.Is(err, platform.ErrNotFound) || !errors.Is(err, platform.ErrNoSuchAgent) {
		t.Errorf("read of an agent that is gone: %v", err)
	}
}

// testEncodings has the sandbox answer in the other forms that the platforms' references show.
func testEncodings(t *testing.T, f Fixture) {
	r := newRig(t, f, sandbox.WithTimes(sandbox.Millis), sandbox.WithWrappedList(), sandbox.WithCreatedStatus(201),
		sandbox.WithPrecision(time.Second))
	made, err := r.client.Create(t.Context(), agent.ContentOf(f.Full))
	if err != nil {
		t.Fatal(err)
	}
	listed := r.list()
	if len(listed) != 1 || listed[0].UID != made.UID || !listed[0].CreatedAt.Equal(r.agents()[0].CreatedAt) {
		t.Errorf("list %v of %v", listed, r.agents())
	}
}

// testConcurrency also pages: the sandbox's pages hold seven agents, and pairs of them share a time.
func testConcurrency(t *testing.T, f Fixture) {
	const n = 40
	r := newRig(t, f, sandbox.WithClock(ticking(2)), sandbox.WithPageSize(7))
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			fields := f.Full.Clone()
			fields[identity(f)] = fmt.Sprintf("agent %d", i)
			if _, err := r.client.Create(t.Context(), agent.ContentOf(fields)); err != nil {
				t.Errorf("create %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	var want, got []string
	for _, a := range r.agents() {
		want = append(want, a.UID)
	}
	for _, a := range r.list() {
		got = append(got, a.UID)
	}
	if len(want) != n {
		t.Errorf("%d agents were made by %d calls", len(want), n)
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("the list is not what is there (-want +got):\n%s", diff)
	}
}

func testKey(t *testing.T, f Fixture) {
	for key, status := range map[string]int{"wrong-key-0123456789": 401, "forbidden-key-0123456789": 403} {
		r := newRig(t, f)
		client := r.clientWith(key, 0)
		_, listErr := client.List(t.Context())
		_, createErr := client.Create(t.Context(), agent.ContentOf(f.Full))
		for _, err := range []error{listErr, createErr} {
			var e *platform.Error
			if !errors.Is(err, platform.ErrKeyRefused) || !errors.As(err, &e) || e.Status != status || e.Class != platform.Refused {
				t.Errorf("%s: %v", key, err)
			}
			r.noSecrets(err, key)
		}
	}
}

// testUnsent covers what is stopped on this side.
func testUnsent(t *testing.T, f Fixture) {
	r := newRig(t, f)
	unresolved := f.Full.Clone()
	unresolved[identity(f)] = secret.Template("${secret:NAME}")
	_, err := r.client.Create(t.Context(), agent.ContentOf(unresolved))
	wantUnsent(t, "an unresolved secret", err)
	_, err = r.client.Update(t.Context(), "..", someChange(f))
	wantUnsent(t, "a uid that is a path", err)

	r.server.Close()
	_, err = r.clientWith(rigKey, 0).Create(t.Context(), agent.ContentOf(f.Full))
	wantUnsent(t, "nobody listens", err)
	if n := r.count("create") + r.count("update"); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func wantUnsent(t *testing.T, what string, err error) {
	t.Helper()
	var e *platform.Error
	if !errors.As(err, &e) || e.Class != platform.Refused || !e.NeverSent {
		t.Errorf("%s: %v (%+v)", what, err, e)
	}
}
