package report_test

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"agentsync/internal/plan"
	"agentsync/internal/report"
)

func page(t *testing.T, p *plan.Plan) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.PlanHTML(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPlanHTMLGolden(t *testing.T) {
	golden(t, "plan.html", []byte(page(t, refreshed())))
}

// TestPlanHTMLHostile holds the page to the elements that it is made of: each tag that a browser would
// see must be one of the template's own.
func TestPlanHTMLHostile(t *testing.T) {
	doc := page(t, hostile())
	body := doc[strings.Index(doc, "<body>"):strings.LastIndex(doc, "<script>")]
	own := regexp.MustCompile(`^</?(body|header|h1|h2|p|form|label|input|select|option|fieldset|legend|b|span|button|` +
		`output|main|` +
		`details|summary|code|q|section|small|table|colgroup|col|tbody|thead|tr|td|th|mark|del|ins|pre|footer|div|ul|li|` +
		`br)[ >]`)
	tags := regexp.MustCompile(`<[^ ]`).FindAllStringIndex(body, -1)
	if len(tags) < 50 {
		t.Fatalf("%d tags, want a page", len(tags))
	}
	for _, at := range tags {
		if rest := body[at[0]:min(at[0]+20, len(body))]; !own.MatchString(rest) {
			t.Errorf("a tag that is not the page's own: %q", rest)
		}
	}
	if m := regexp.MustCompile(`\s(on\w+|style|src|href)\s*=\s*["']`).FindString(body); m != "" {
		t.Errorf("the page holds an attribute that could run or load something: %q", m)
	}
	for _, r := range doc {
		if r < ' ' && r != '\n' || r == 0x9b || r == 0x202e || r == 0x200b {
			t.Errorf("the page holds %U", r)
		}
	}
}

// TestPlanHTMLAlone holds the page to loading nothing and to a policy that says so.
func TestPlanHTMLAlone(t *testing.T) {
	doc := page(t, crowd(60))
	if m := regexp.MustCompile(`(?i)<link|<img|<iframe|@import|url\(|https?://`).FindString(doc); m != "" {
		t.Errorf("the page refers to something outside: %q", m)
	}
	if !strings.Contains(doc, "default-src &#39;none&#39;; style-src &#39;sha256-") ||
		strings.Contains(doc, "unsafe-inline") {
		t.Error("the page has no strict content security policy")
	}
	for i := range 60 {
		if address := fmt.Sprintf("agent-%05d<", i); strings.Count(doc, address) != 1 {
			t.Errorf("%s stands %d times on the page, want once", address, strings.Count(doc, address))
		}
	}
	if err := report.PlanHTML(brokenPipe{}, everything()); err != io.ErrClosedPipe {
		t.Errorf("error is %v, want that of the writer", err)
	}
}

func BenchmarkPlanHTML1k(b *testing.B) {
	p := crowd(1000)
	for b.Loop() {
		if err := report.PlanHTML(io.Discard, p); err != nil {
			b.Fatal(err)
		}
	}
}
