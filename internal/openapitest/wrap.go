package openapitest

import (
	"bytes"
	"io"
	"net/http"
)

// handler is the server's side.
type handler struct {
	*checker
	next http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(&replay{bytes.NewReader(body), err})
	x := h.begin(r, body)
	tee := &teeWriter{ResponseWriter: w, status: http.StatusOK}
	h.next.ServeHTTP(tee, r) // an answer that is dropped leaves here as a panic, unchecked
	if !tee.taken {
		x.end(tee.status, w.Header().Clone(), tee.body.Bytes())
	}
}

// teeWriter passes an answer on and keeps a copy of it.
type teeWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
	taken  bool // someone asked for the writer below, so the copy may not be complete
	body   bytes.Buffer
}

func (w *teeWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *teeWriter) Write(p []byte) (int, error) {
	w.wrote = true
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

// Flush passes on, so that it does not count as taking the writer.
func (w *teeWriter) Flush() {
	w.wrote = true
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a writer that cannot flush has nothing held back
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *teeWriter) Unwrap() http.ResponseWriter {
	w.taken = true
	return w.ResponseWriter
}

// transport is the client's side.
type transport struct {
	*checker
	next http.RoundTripper
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		read, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		sent := r.Clone(r.Context())
		sent.Body = io.NopCloser(&replay{bytes.NewReader(read), err})
		if r.Body == http.NoBody || len(read) == 0 && err == nil {
			sent.Body = http.NoBody
		}
		body, r = read, sent
	}
	x := t.begin(r, body)
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(&replay{bytes.NewReader(answer), err})
	if err == nil {
		x.end(resp.StatusCode, resp.Header, answer)
	}
	return resp, nil
}

// CloseIdleConnections passes on to the transport below.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// replay yields what was read, and then the error that reading ended with.
type replay struct {
	*bytes.Reader
	err error
}

func (r *replay) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.err != nil {
		err = r.err
	}
	return n, err
}

// WriteTo hides the reader's own, which would leave the error out.
func (r *replay) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}
