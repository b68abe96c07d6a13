package bench

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// One agent of each platform, some 450 bytes of YAML, in the form that a generated fleet has: one
// agent per tenant.
const (
	coach = `    - key: m%06[1]d
      agentName: "Coach %[1]d"
      agentPurpose: |
        Help a new colleague of tenant %[1]d through the first week.
        Ask one question at a time, and never guess what the handbook does not say.
      formatting: Short paragraphs, and lists where there are steps.
      agentPersonality: Friendly, brief, a little dry.
      iceBreakerMessage: Hello! What would you like to know?
      tags: [hr, onboarding]
      access: restrictedAccess
      externalTenantId: tenant-%06[1]d
`
	concierge = `    - key: c%06[1]d
      name: Concierge %[1]d
      integrateWith: mastra
      integrationMeta:
        baseUrl: https://agents.example.com/%[1]d
        agentId: concierge-%[1]d
      metaData:
        greetingMessage: Hello and welcome to tenant %[1]d!
        introductoryMessage: I know every order and every policy.
        suggestedMessages: ["Where is my order?", "Talk to a person"]
`
	mindset   = "mindset:\n  appUid: acme\n  agents:\n"
	cometchat = "cometchat:\n  appId: 2754abc\n  region: us\n  defaults:\n    icon: https://cdn.example.com/bot.png\n" +
		"    integrationType: agent\n  agents:\n"
)

// fleet writes n agents into files in a new folder, half of them on each platform.
func fleet(b testing.TB, n, files int) string {
	b.Helper()
	return write(b, n, files, mindset, cometchat)
}

// conciergeFleet is a fleet of one app, in one file.
func conciergeFleet(b testing.TB, n int) string {
	b.Helper()
	return write(b, n, 1, cometchat)
}

func write(b testing.TB, n, files int, sections ...string) string {
	b.Helper()
	dir := b.TempDir()
	next := 0
	for f := range files {
		err := writeFile(filepath.Join(dir, fmt.Sprintf("fleet-%03d.yaml", f)), func(w *bufio.Writer) {
			fmt.Fprint(w, "version: 1\n")
			for _, section := range sections {
				fmt.Fprint(w, section)
				one := coach
				if section == cometchat {
					one = concierge
				}
				for range max(1, n/files/len(sections)) {
					fmt.Fprintf(w, one, next)
					next++
				}
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func writeFile(path string, fill func(w *bufio.Writer)) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fill(w)
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
