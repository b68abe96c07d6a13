package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// loose is another server that speaks both APIs: written from the list of facts alone, it shares
// nothing with the sandbox and takes every liberty that the facts leave. A create is answered 201,
// lists are wrapped and pages hold two agents, times are Unix milliseconds for CometChat and have an
// offset for Mindset, headers come back masked, fields that hold nothing are left out, others are
// added, a PATCH answers {"success": true} or the flat agent, and a DELETE 200 with nothing in it.
type loose struct {
	mu     sync.Mutex
	agents []*looseAgent
	made   map[string]int // how many in each list
	clock  time.Time      // when the last one was made
}

type looseAgent struct {
	list, uid string // the path of the list that it stands in
	created   time.Time
	fields    map[string]any
}

const (
	looseComet   = "/v3/ai-agents/agents"
	looseMindset = "/api/v1/appuid/acme/agents"
	looseTime    = "2006-01-02T15:04:05.000+00:00"
)

func (s *loose) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, uid := looseComet, ""
	if strings.HasPrefix(r.URL.Path, looseMindset) {
		list = looseMindset
	}
	uid = strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, list), "/")
	uid = strings.TrimPrefix(uid, "uid/")
	body := map[string]any{}
	_ = json.NewDecoder(r.Body).Decode(&body) // a request without a body has no fields
	switch i := s.find(list, uid); {
	case r.Header.Get("apikey")+r.Header.Get("x-api-key") == "":
		http.Error(w, "", http.StatusUnauthorized)
	case uid == "" && r.Method == http.MethodPost:
		s.create(w, list, body)
	case uid == "" && r.Method == http.MethodGet:
		s.list(w, list, r.URL.Query().Get("startAfter"))
	case i < 0:
		http.Error(w, "gone", http.StatusNotFound)
	case r.Method == http.MethodGet && list == looseMindset:
		answerJSON(w, http.StatusOK, s.agents[i].show())
	case r.Method == http.MethodPatch:
		s.update(w, s.agents[i], body)
	case r.Method == http.MethodDelete:
		s.agents = slices.Delete(s.agents, i, i+1)
	default:
		http.Error(w, "", http.StatusMethodNotAllowed)
	}
}

func (s *loose) find(list, uid string) int {
	return slices.IndexFunc(s.agents, func(a *looseAgent) bool { return a.list == list && a.uid == uid })
}

func (s *loose) create(w http.ResponseWriter, list string, fields map[string]any) {
	s.made[list]++
	s.clock = later(time.Now().Truncate(time.Millisecond), s.clock.Add(time.Millisecond))
	a := &looseAgent{list: list, uid: fmt.Sprintf("0b5e5a3c-9d1f-4c2a-8f00-%012d", s.made[list]), created: s.clock,
		fields: fields}
	if list == looseMindset {
		a.uid = fmt.Sprintf("Zx%018d", s.made[list])
	}
	s.agents = append(s.agents, a)
	if list == looseComet {
		answerJSON(w, http.StatusCreated, map[string]any{"agent": a.show()})
		return
	}
	answerJSON(w, http.StatusCreated, a.show())
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// list answers everything to CometChat, and two agents a page to Mindset.
func (s *loose) list(w http.ResponseWriter, list, after string) {
	shown := []map[string]any{}
	in := slices.DeleteFunc(slices.Clone(s.agents), func(a *looseAgent) bool { return a.list != list })
	if list == looseComet {
		for _, a := range in {
			shown = append(shown, a.show())
		}
		answerJSON(w, http.StatusOK, map[string]any{"data": shown, "meta": map[string]any{"count": len(shown)}})
		return
	}
	slices.SortStableFunc(in, func(a, b *looseAgent) int { return a.created.Compare(b.created) })
	from, _ := time.Parse(time.RFC3339, after) // no time is the beginning of it
	for _, a := range in {
		if a.created.After(from) && len(shown) < 2 {
			shown = append(shown, a.show())
		}
	}
	answerJSON(w, http.StatusOK, map[string]any{"agents": shown})
}

func (s *loose) update(w http.ResponseWriter, a *looseAgent, fields map[string]any) {
	maps.Copy(a.fields, fields)
	if a.list == looseComet {
		answerJSON(w, http.StatusOK, map[string]any{"success": true})
		return
	}
	answerJSON(w, http.StatusOK, a.show())
}

// show is the agent as it is answered.
func (a *looseAgent) show() map[string]any {
	shown := map[string]any{"uid": a.uid, "_id": len(a.uid), "somethingNew": map[string]any{"of": []int{1}}}
	for name, v := range a.fields {
		if list, ok := v.([]any); v != nil && v != "" && (!ok || len(list) > 0) {
			shown[name] = v
		}
	}
	if a.list == looseMindset {
		shown["createdAt"] = a.created.UTC().Format(looseTime)
		return shown
	}
	shown["createdAt"], shown["deletedAt"], shown["instruction"] = a.created.UnixMilli(), nil, "You are an agent."
	if meta, ok := shown["integrationMeta"].(map[string]any); ok && meta["headers"] != nil {
		masked := maps.Clone(meta)
		masked["headers"] = map[string]any{"authorization": "********"}
		shown["integrationMeta"] = masked
	}
	return shown
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away needs no answer
}

// startLoose starts the other server and points both endpoint variables at it.
func startLoose(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: loose")
	}
	h := httptest.NewServer(&loose{made: map[string]int{}})
	ts.Defer(h.Close)
	ts.Setenv("AGENTSYNC_COMETCHAT_ENDPOINT", h.URL+"/v3")
	ts.Setenv("AGENTSYNC_MINDSET_ENDPOINT", h.URL)
}

// The server must itself be loose in the ways that the script relies on.
func TestLooseServer(t *testing.T) {
	s := &loose{made: map[string]int{}}
	call := func(method, path, body string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		req.Header.Set("x-api-key", "k")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		return w
	}
	if w := call("POST", looseMindset, `{"agentName": "A", "tags": []}`); w.Code != 201 ||
		strings.Contains(w.Body.String(), "tags") {
		t.Errorf("create: %d %s", w.Code, w.Body)
	}
	if w := call("DELETE", looseMindset+"/uid/Zx000000000000000001", ""); w.Code != 200 || w.Body.Len() > 0 {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	if w := call("GET", looseComet, ""); strings.TrimSpace(w.Body.String()) != `{"data":[],"meta":{"count":0}}` {
		t.Errorf("list: %s", w.Body)
	}
}
