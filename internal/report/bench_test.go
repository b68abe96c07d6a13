package report_test

import (
	"io"
	"testing"

	"agentsync/internal/apply"
	"agentsync/internal/report"
)

func BenchmarkPlanText10k(b *testing.B) {
	p := crowd(10_000)
	for b.Loop() {
		if err := report.PlanText(io.Discard, p, report.Style{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlanTextVerbose10k(b *testing.B) {
	p := crowd(10_000)
	for b.Loop() {
		if err := report.PlanText(io.Discard, p, report.Style{Verbose: true, Color: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlanMarkdown10k(b *testing.B) {
	p := crowd(10_000)
	for b.Loop() {
		if err := report.PlanMarkdown(io.Discard, p, report.MarkdownOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlanJSON10k(b *testing.B) {
	p := crowd(10_000)
	for b.Loop() {
		if err := report.PlanJSON(io.Discard, p, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLiveProgress(b *testing.B) {
	p := report.NewProgress(io.Discard, report.Style{Width: 100}, 1<<30)
	defer p.Close()
	a := mindset("coach")
	for b.Loop() {
		p.Event(started(a))
		p.Event(finished(a, apply.StatusDone))
	}
}
