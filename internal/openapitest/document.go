package openapitest

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// document is one OpenAPI document and the path templates that it knows.
type document struct {
	spec  *openapi3.T
	paths []string // longest first, so that the most specific one is tried first
}

// load reads and validates the document called name, or ends the test.
func load(t testing.TB, name string) *document {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromFile(filepath.Join(folder(t), name+".yaml"))
	if err != nil {
		t.Fatalf("openapi: read %s: %v", name, err)
	}
	if err := spec.Validate(t.Context()); err != nil {
		t.Fatalf("openapi: %s is no valid document: %v", name, err)
	}
	d := &document{spec: spec, paths: spec.Paths.Keys()}
	slices.SortFunc(d.paths, func(a, b string) int { return len(b) - len(a) })
	return d
}

// folder finds testdata/openapi beside the go.mod above the test's own folder.
func folder(t testing.TB) string {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatalf("openapi: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return filepath.Join(at, "testdata", "openapi")
		}
		up := filepath.Dir(at)
		if up == at {
			t.Fatal("openapi: no go.mod above the test's folder")
		}
		at = up
	}
}

// match returns the path template that the end of path fits and the values of its variables. Only
// the end counts: what stands before it is the base URL, which a test's server is free to choose.
func (d *document) match(path string) (template string, values map[string]string, ok bool) {
	have := strings.Split(path, "/")
	for _, template := range d.paths {
		want := strings.Split(strings.TrimPrefix(template, "/"), "/")
		if len(have) <= len(want) {
			continue
		}
		if values, ok := fit(want, have[len(have)-len(want):]); ok {
			return template, values, true
		}
	}
	return "", nil, false
}

func fit(want, have []string) (map[string]string, bool) {
	values := map[string]string{}
	for i, w := range want {
		if !strings.HasPrefix(w, "{") {
			if have[i] != w {
				return nil, false
			}
			continue
		}
		v, err := url.PathUnescape(have[i])
		if err != nil || v == "" {
			return nil, false
		}
		values[strings.Trim(w, "{}")] = v
	}
	return values, true
}
