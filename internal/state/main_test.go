package state_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"agentsync/internal/agent"
)

// TestMain turns the test binary into the child process of the tests that kill one.
func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(child(path))
	}
	if what := os.Getenv(diskEnv); what != "" {
		os.Exit(diskChild(what))
	}
	goleak.VerifyTestMain(m)
}

// addr returns an address for tests.
func addr(key string) agent.Address {
	return agent.Address{Platform: "mindset", App: "acme", Key: key}
}

// doc returns a document that tells versions of an agent apart.
func doc(text string) agent.Doc { return agent.Doc(`{"agentName":"` + text + `"}`) }
