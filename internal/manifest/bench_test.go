package manifest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"agentsync/internal/validate"
)

// writeFleet writes agents to files in dir, half of them on each platform, about 400 bytes each, some
// through defaults and secrets as a real fleet has them.
func writeFleet(t testing.TB, dir string, agents, files int) {
	t.Helper()
	prompt := strings.Repeat("        Help the tenant's people with what they ask, in their own words.\n", 3)
	for f := range files {
		var b bytes.Buffer
		b.WriteString("version: 1\n")
		if f%2 == 0 {
			b.WriteString("cometchat:\n  appId: 2754abc\n  region: us\n  defaults:\n    icon: " +
				"https://cdn.example.com/bot.png\n" +
				"    integrationType: agent\n    integrationMeta:\n      baseUrl: https://agents.example.com\n  agents:\n")
		} else {
			b.WriteString("mindset:\n  appUid: acme\n  defaults:\n    tags: [tenant]\n  agents:\n")
		}
		for i := f; i < agents; i += files {
			if f%2 == 0 {
				fmt.Fprintf(&b,
					"    - key: tenant-%06d\n      name: Assistant of tenant %d\n      integrateWith: langgraph\n"+
						"      integrationMeta:\n        headers: {authorization: \"Bearer ${secret:LANGGRAPH_TOKEN}\"}\n"+
						"      metaData:\n        greetingMessage: Hello from tenant %d\n        introductoryMessage: |\n%s", i, i, i,
					strings.ReplaceAll(prompt, "        ", "          "))
			} else {
				fmt.Fprintf(&b,
					"    - key: tenant-%06d\n      agentName: Assistant\n      externalTenantId: tenant-%06d\n      live: true\n"+
						"      agentPurpose: |\n%s      formatting: Short paragraphs.\n", i, i, prompt)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("fleet-%03d.yaml", f)), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkLoad loads 10,000 agents; BenchmarkDecodeNodes is what it is measured against: one
// goroutine that only decodes the same bytes into yaml.v3 nodes.
func BenchmarkLoad(b *testing.B) {
	for _, files := range []int{1, 20} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			const agents = 10_000
			dir := b.TempDir()
			writeFleet(b, dir, agents, files)
			options := Options{Env: variables(), Platforms: platforms(b)}
			b.ReportAllocs()
			for b.Loop() {
				fleet, problems, err := Load(context.Background(), []string{dir}, options)
				if err != nil || problems.HasErrors() || len(fleet.Agents) != agents {
					b.Fatal(err, problems)
				}
			}
			b.ReportMetric(float64(agents*b.N)/b.Elapsed().Seconds(), "agents/s")
		})
	}
}

// BenchmarkDecodeNodes is the yardstick of BenchmarkLoad.
func BenchmarkDecodeNodes(b *testing.B) {
	const agents = 10_000
	dir := b.TempDir()
	writeFleet(b, dir, agents, 20)
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(paths) != 20 {
		b.Fatal(paths, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			var n yaml.Node
			if err := yaml.Unmarshal(src, &n); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(agents*b.N)/b.Elapsed().Seconds(), "agents/s")
}

// BenchmarkCompile is what every start costs before the first manifest is read.
func BenchmarkCompile(b *testing.B) {
	all := platforms(b)
	for b.Loop() {
		if _, err := validate.New(all); err != nil {
			b.Fatal(err)
		}
	}
}
