package probe

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Exchange is one request and how it was answered: nothing of its body, and of the headers those alone that say
// something of rates.
type Exchange struct {
	Method string `json:"method"`
	// Path has the app and uids left out.
	Path string `json:"path"`
	// Status is 0 where no answer came.
	Status  int               `json:"status"`
	Type    string            `json:"contentType,omitempty"`
	Bytes   int               `json:"bytes"`
	Items   int               `json:"items,omitempty"` // of a list
	Headers map[string]string `json:"headers,omitempty"`
}

// Exchanges are those of one client. They are safe for concurrent use.
type Exchanges struct {
	mu   sync.Mutex // guards the rest
	all  []Exchange
	mark int
}

// Record has what hc sends and gets from now on in the Exchanges that it returns. hide are texts of paths that nobody
// else is to see, the app's id among them. Reads are then tried once: what happens is to be seen.
func Record(hc *http.Client, hide ...string) *Exchanges {
	x := &Exchanges{}
	hc.Transport = exchangeRecorder{hc.Transport, x, hide}
	return x
}

// Mark begins a new question: Last looks no further back.
func (x *Exchanges) Mark() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mark = len(x.all)
}

// All returns every exchange so far.
func (x *Exchanges) All() []Exchange {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]Exchange{}, x.all...)
}

// Last returns the exchanges with the method since the mark, or the last one of all; it is never empty.
func (x *Exchanges) Last(method string) []Exchange {
	x.mu.Lock()
	defer x.mu.Unlock()
	var since []Exchange
	last := Exchange{Method: method}
	for i, e := range x.all {
		if e.Method != method {
			continue
		}
		if last = e; i >= x.mark {
			since = append(since, e)
		}
	}
	if since == nil {
		return []Exchange{last}
	}
	return since
}

type exchangeRecorder struct {
	next http.RoundTripper
	to   *Exchanges
	hide []string
}

// told are the headers that say something of rates.
var told = []string{"Retry-After", "X-Rate-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset", "X-RateLimit-Limit",
	"X-RateLimit-Remaining", "X-RateLimit-Reset"}

func (r exchangeRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	path := req.URL.Path
	for _, h := range r.hide {
		if h != "" {
			path = strings.ReplaceAll(path, "/"+h, "/…")
		}
	}
	if i := strings.LastIndex(path, "/agents/"); i >= 0 { // a uid
		path = path[:i] + "/agents/…"
	}
	e := Exchange{Method: req.Method, Path: path}
	resp, err := r.next.RoundTrip(req)
	if err == nil {
		e.Status, e.Type, e.Headers = resp.StatusCode, resp.Header.Get("Content-Type"), map[string]string{}
		for _, name := range told {
			if v := resp.Header.Get(name); v != "" {
				e.Headers[name] = v
			}
		}
		body, readErr := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		e.Bytes, e.Items = len(body), countItems(body)
		resp.Body = io.NopCloser(&replayedBody{bytes.NewReader(body), readErr})
	}
	r.to.mu.Lock()
	defer r.to.mu.Unlock()
	r.to.all = append(r.to.all, e)
	return resp, err
}

// countItems counts what a list holds, bare or wrapped once.
func countItems(body []byte) int {
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil {
		return len(list)
	}
	var envelope map[string]json.RawMessage
	if json.Unmarshal(body, &envelope) != nil {
		return 0
	}
	for _, v := range envelope {
		if json.Unmarshal(v, &list) == nil && list != nil {
			return len(list)
		}
	}
	return 0
}

// replayedBody yields what was read, and then the error that reading ended with.
type replayedBody struct {
	*bytes.Reader
	err error
}

func (r *replayedBody) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.err != nil {
		err = r.err
	}
	return n, err
}
