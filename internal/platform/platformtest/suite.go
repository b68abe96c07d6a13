package platformtest

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
	"agentsync/internal/openapitest"
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
	r := newRig(t, f, sandbox.Options{})
	made := r.create(f.Full)
	live := r.agents()
	if len(live) != 1 || live[0].UID != made.UID {
		t.Fatalf("create answered %q, there are %v", made.UID, live)
	}
	wantFields(t, "created", f.Full, made.Content.Fields())
	if !made.CreatedAt.Equal(live[0].CreatedAt) {
		t.Errorf("created at %v, want %v", made.CreatedAt, live[0].CreatedAt)
	}
	listed := r.list()
	if len(listed) != 1 || listed[0].UID != made.UID {
		t.Fatalf("list: %v", listed)
	}
	wantFields(t, "listed", f.Full, listed[0].Content.Fields())

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
	r := newRig(t, f, sandbox.Options{})
	made := r.create(f.Full)
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
			wantFields(t, what+" "+name+" answered", want, answered.Content.Fields())
		}
		wantFields(t, what+" "+name+" listed", want, r.list()[0].Content.Fields())
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
	r := newRig(t, f, sandbox.Options{ShowDeleted: true}) // deleted agents stay in a list that shows them
	made := r.create(f.Full)
	if err := r.client.Delete(t.Context(), made.UID); err != nil {
		t.Errorf("delete: %v", err)
	}
	// Nobody below apply decides that an agent is gone.
	if err := r.client.Delete(t.Context(), made.UID); !errors.Is(err, platform.ErrNotFound) ||
		platform.ClassOf(err) != platform.Refused {
		t.Errorf("delete of an agent that is gone: %v", err)
	}
	if got := r.list(); len(got) != 0 || len(r.agents()) != 0 {
		t.Errorf("after the delete: %v", got)
	}
	_, err := r.client.Update(t.Context(), made.UID, f.someChange())
	if !errors.Is(err, platform.ErrNotFound) || platform.ClassOf(err) != platform.Refused {
		t.Errorf("update of an agent that is gone: %v", err)
	}
}

func testRead(t *testing.T, f Fixture) {
	r := newRig(t, f, sandbox.Options{})
	if !r.client.Properties().ReadsOne {
		_, err := r.client.Read(t.Context(), "some-uid")
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a read that there is not: %v", err)
		}
		wantUnsent(t, "a read that there is not", err)
		return
	}
	made := r.create(f.Full)
	got, err := r.client.Read(t.Context(), made.UID)
	if err != nil {
		t.Fatal(err)
	}
	wantFields(t, "read", f.Full, got.Content.Fields())
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
	r := newRig(t, f, sandbox.Options{Millis: true, WrappedList: true, CreatedStatus: 201, Precision: time.Second})
	made := r.create(f.Full)
	listed := r.list()
	if len(listed) != 1 || listed[0].UID != made.UID || !listed[0].CreatedAt.Equal(r.agents()[0].CreatedAt) {
		t.Errorf("list %v of %v", listed, r.agents())
	}
}

// testConcurrency also pages: the sandbox's pages hold seven agents, and pairs of them share a time.
func testConcurrency(t *testing.T, f Fixture) {
	const n = 40
	r := newRig(t, f, sandbox.Options{Now: tickingClock(2), PageSize: 7})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := r.client.Create(t.Context(), agent.ContentOf(f.named(fmt.Sprintf("agent %d",
				i)))); err != nil {
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
		r := newRig(t, f, sandbox.Options{})
		client := r.clientWith(key, 0)
		_, listErr := client.List(t.Context())
		_, createErr := client.Create(t.Context(), agent.ContentOf(f.Full))
		for _, err := range []error{listErr, createErr} {
			var e *platform.Error
			if !errors.Is(err, platform.ErrKeyRefused) || !errors.As(err, &e) || e.Status != status ||
				e.Class != platform.Refused {
				t.Errorf("%s: %v", key, err)
			}
			r.noSecrets(err, key)
		}
	}
}

// testUnsent covers what is stopped on this side.
func testUnsent(t *testing.T, f Fixture) {
	r := newRig(t, f, sandbox.Options{})
	unresolved := f.Full.Clone()
	unresolved[f.identity()] = secret.Template("${secret:NAME}")
	_, err := r.client.Create(t.Context(), agent.ContentOf(unresolved))
	wantUnsent(t, "an unresolved secret", err)
	_, err = r.client.Update(t.Context(), "..", f.someChange())
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

// testMark covers the opt-in mark: the platform keeps it, the adapter tells it apart from the agent's
// fields in every answer, and sending the field without it takes it away.
func testMark(t *testing.T, f Fixture) {
	s := f.schema()
	field, ok := s.Marker()
	if !ok {
		t.Skip("the platform's agents cannot carry a mark")
	}
	r := newRig(t, f, sandbox.Options{})
	mark := agent.Address{Platform: s.Name, App: f.App.ID.App, Key: "a"}.Mark()
	made := r.create(platform.AddMark(s, f.Full, mark))
	is := func(what string, got platform.Remote, want agent.Fields, mark string) {
		t.Helper()
		if got.Content.IsZero() && what == "update" {
			return // the platform answers no agent
		}
		wantFields(t, what, want, got.Content.Fields())
		if got.Mark != mark {
			t.Errorf("%s: the mark is %q, want %q", what, got.Mark, mark)
		}
	}
	is("create", made, f.Full, mark)
	is("list", r.list()[0], f.Full, mark)

	want := f.Full.Clone()
	want[field.Name] = f.Change[field.Name]
	for _, mark := range []string{mark, ""} {
		change := platform.AddMark(s, agent.Fields{field.Name: want[field.Name]}, mark)
		answered, err := r.client.Update(t.Context(), made.UID, change)
		if err != nil {
			t.Fatal(err)
		}
		is("update", answered, want, mark)
		is("list", r.list()[0], want, mark)
		if r.client.Properties().ReadsOne {
			got, err := r.client.Read(t.Context(), made.UID)
			if err != nil {
				t.Fatal(err)
			}
			is("read", got, want, mark)
		}
	}
}

const rigKey = "key-of-the-conformance-suite"

// adapterRig is an adapter's client over the real stack in front of a sandbox of its own.
type adapterRig struct {
	t       *testing.T
	f       Fixture
	sandbox *sandbox.Server
	server  *httptest.Server
	client  platform.Client
}

// newRig starts a sandbox whose requests and answers are both held against the contract.
func newRig(t *testing.T, f Fixture, o sandbox.Options) *adapterRig {
	t.Helper()
	return startRig(t, f, nil, o)
}

// newFaultyRig starts a sandbox whose answers may break the contract on purpose, see script.
func newFaultyRig(t *testing.T, f Fixture, o sandbox.Options) *adapterRig {
	t.Helper()
	return startRig(t, f, []openapitest.Option{openapitest.RequestsOnly()}, o)
}

// script returns the rig for a subtest, emptied and with other faults.
func (r *adapterRig) script(t *testing.T, faults string) *adapterRig {
	t.Helper()
	parsed, err := sandbox.ParseFaults(faults)
	if err != nil {
		t.Fatal(err)
	}
	r.sandbox.SetFaults(parsed)
	if err := r.sandbox.Reset(); err != nil {
		t.Fatal(err)
	}
	sub := *r
	sub.t = t
	return &sub
}

func startRig(t *testing.T, f Fixture, checks []openapitest.Option, o sandbox.Options) *adapterRig {
	t.Helper()
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	handler := openapitest.Middleware(t, f.Document, s, checks...)
	r := &adapterRig{t: t, f: f, sandbox: s, server: httptest.NewServer(handler)}
	t.Cleanup(func() {
		if err := s.Close(); err != nil { // lets go of what hangs, so that the server can close
			t.Error(err)
		}
		r.server.Close()
	})
	r.client = r.clientWith(rigKey, 0)
	return r
}

// clientWith returns another client of the same app.
func (r *adapterRig) clientWith(key string, timeout time.Duration) platform.Client {
	r.t.Helper()
	base, err := url.Parse(r.server.URL + r.f.BasePath)
	if err != nil {
		r.t.Fatal(err)
	}
	hc, err := httpx.NewClient(httpx.Options{
		Base: base, KeyHeader: r.f.Platform.APIKeyHeader(), Key: secret.Literal(key), Timeout: timeout,
		Secrets: secret.Whole(append(r.secrets(), key)...),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(hc.CloseIdleConnections)
	return r.f.Platform.Client(r.f.App, base, hc)
}

func (r *adapterRig) agents() []sandbox.Agent {
	return r.sandbox.Agents(r.f.Platform.Name(), "")
}

func (r *adapterRig) list() []platform.Remote {
	r.t.Helper()
	list, err := r.client.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// create makes an agent, and ends the test if it cannot.
func (r *adapterRig) create(fields agent.Fields) platform.Remote {
	r.t.Helper()
	made, err := r.client.Create(r.t.Context(), agent.ContentOf(fields))
	if err != nil || made.UID == "" {
		r.t.Fatalf("create: %+v, %v", made, err)
	}
	return made
}

// count returns how many requests of an operation the sandbox has seen.
func (r *adapterRig) count(op string) int {
	return r.sandbox.Counts().Requests[r.f.Platform.Name()][op]
}

// noSecrets looks for the key and for every secret of the fixture in what a person would see of err.
func (r *adapterRig) noSecrets(err error, more ...string) {
	r.t.Helper()
	if err == nil {
		return
	}
	for _, s := range append(append(more, rigKey), r.secrets()...) {
		if strings.Contains(err.Error(), s) {
			r.t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// secrets returns every secret of the fixture.
func (r *adapterRig) secrets() (all []string) {
	agent.Walk("", map[string]any(r.f.Full.Clone()), func(_ string, leaf any) any {
		if s, ok := leaf.(secret.Text); ok {
			plain, err := s.Reveal()
			if err != nil {
				r.t.Fatal(err)
			}
			all = append(all, plain)
		}
		return leaf
	})
	return all
}

// wantFields compares fields as the contract means it: secrets by their value.
func wantFields(t *testing.T, what string, want, got agent.Fields) {
	t.Helper()
	reveal := cmp.Transformer("reveal", func(s secret.Text) string {
		plain, err := s.Reveal()
		if err != nil {
			return err.Error()
		}
		return plain
	})
	if diff := cmp.Diff(want, got, reveal); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// tickingClock returns a clock that moves on by a millisecond with every n-th look at it.
func tickingClock(n int) func() time.Time {
	var mu sync.Mutex
	looks := 0
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		looks++
		return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(looks/n) * time.Millisecond)
	}
}

// identity is the field that holds an agent's name.
func (f Fixture) identity() string {
	for _, field := range f.schema().Fields {
		if field.Identity {
			return field.Name
		}
	}
	return ""
}

// named is the full agent under another name.
func (f Fixture) named(name string) agent.Fields {
	fields := f.Full.Clone()
	fields[f.identity()] = name
	return fields
}

// someChange is an update of one field.
func (f Fixture) someChange() agent.Fields {
	return agent.Fields{f.identity(): f.Change[f.identity()]}
}
