package storetest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"agentsync/internal/state/store"
)

// S3Handler is an S3 of one bucket, fleet, in memory, for tests that need no real one: it honours both conditions and
// checks no signature. Which key a request is signed with decides what it may do. It passes the suite (TestS3Handler).
type S3Handler struct {
	store.Memory

	mu       sync.Mutex // guards what follows
	requests map[string]int
	refused  map[string]int
}

// The access keys that S3Handler knows: of all, and of what needs no more than reading.
const (
	FullKey = "test-key"
	ReadKey = "test-read-key"
)

// Refuse lets requests of a method ("GET", "PUT", "POST") be answered with a status, until it is given 0.
func (h *S3Handler) Refuse(method string, status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refused == nil {
		h.refused = map[string]int{}
	}
	h.refused[method] = status
}

// Requests returns how many requests of a method there were since it was asked last.
func (h *S3Handler) Requests(method string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.requests[method]
	delete(h.requests, method)
	return n
}

// note counts a request, and returns the status that it is refused with, 0 for none.
func (h *S3Handler) note(method string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.requests == nil {
		h.requests = map[string]int{}
	}
	h.requests[method]++
	return h.refused[method]
}

// ServeHTTP answers the five requests of package s3.
func (h *S3Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	access, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="), "/")
	status := h.note(r.Method)
	switch {
	case status != 0:
		answerError(w, status, "Refused")
	case access != FullKey && access != ReadKey:
		answerError(w, http.StatusForbidden, "InvalidAccessKeyId")
	case bucket != "fleet":
		answerError(w, http.StatusNotFound, "NoSuchBucket")
	case r.Method != http.MethodGet && access == ReadKey:
		answerError(w, http.StatusForbidden, "AccessDenied")
	case r.Method == http.MethodGet && key == "":
		prefix := r.URL.Query().Get("prefix")
		keys, _ := h.List(ctx, prefix) // memory fails only where ctx ended
		page := struct {
			XMLName  xml.Name `xml:"ListBucketResult"`
			Contents []struct{ Key string }
		}{}
		for _, k := range keys {
			page.Contents = append(page.Contents, struct{ Key string }{k})
		}
		b, _ := xml.Marshal(page)
		_, _ = w.Write(b)
	case r.Method == http.MethodGet:
		o, err := h.Get(ctx, key)
		if err != nil {
			answerError(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		now := time.Now()
		w.Header().Set("ETag", `"`+string(o.Tag)+`"`)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		w.Header().Set("Last-Modified", now.Add(-o.Age).UTC().Format(http.TimeFormat))
		_, _ = w.Write(o.Content)
	case r.Method == http.MethodPut:
		h.put(w, r, key)
	case r.Method == http.MethodPost && r.URL.Query().Has("delete"):
		var request struct{ Object []struct{ Key string } }
		if err := xml.NewDecoder(r.Body).Decode(&request); err != nil {
			answerError(w, http.StatusBadRequest, "MalformedXML")
			return
		}
		for _, o := range request.Object {
			_ = h.Delete(ctx, o.Key)
		}
		_, _ = w.Write([]byte("<DeleteResult/>"))
	default:
		answerError(w, http.StatusNotImplemented, "NotImplemented")
	}
}

func (h *S3Handler) put(w http.ResponseWriter, r *http.Request, key string) {
	body := new(bytes.Buffer)
	if _, err := io.Copy(body, r.Body); err != nil {
		return // the client went away
	}
	var tag store.Tag
	var err error
	if match := r.Header.Get("If-Match"); match != "" {
		tag, err = h.Replace(r.Context(), key, body.Bytes(), store.Tag(strings.Trim(match, `"`)))
	} else if r.Header.Get("If-None-Match") == "*" {
		tag, err = h.Create(r.Context(), key, body.Bytes())
	} else {
		err = errors.New("a write without a condition")
	}
	switch {
	case errors.Is(err, store.ErrChanged), errors.Is(err, store.ErrExists):
		answerError(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case err != nil:
		answerError(w, http.StatusNotImplemented, err.Error())
	default:
		w.Header().Set("ETag", `"`+string(tag)+`"`)
	}
}

func answerError(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>said the server of the test</Message></Error>", code)
}
