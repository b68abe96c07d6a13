package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
)

// postVariable makes the test binary the yardstick of an apply: a process that posts agents with net/http
// and drops the answers, and does nothing else. Its value is the URL, the agents and the requests in flight.
const postVariable = "AGENTSYNC_BENCH_POST"

// posted is an agent as it is sent, some 450 bytes.
const posted = `{"icon":"https://cdn.example.com/bot.png","integrateWith":"mastra","integrationMeta":{"agentId":"concierge-%[1]d",` +
	`"baseUrl":"https://agents.example.com/%[1]d"},"integrationType":"agent","metaData":{"greetingMessage":` +
	`"Hello and welcome to tenant %[1]d!","introductoryMessage":"I know every order and every policy.","suggestedMessages":` +
	`["Where is my order?","Talk to a person"]},"name":"Concierge %[1]d"}`

func postOnly(what string) error {
	var url string
	var agents, inFlight int
	if _, err := fmt.Sscan(what, &url, &agents, &inFlight); err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: inFlight, MaxConnsPerHost: inFlight}
	var next atomic.Int64
	var g errgroup.Group
	for range inFlight {
		g.Go(func() error {
			for i := next.Add(1); i <= int64(agents); i = next.Add(1) {
				if err := postOne(transport, url, fmt.Appendf(nil, posted, i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func postOne(transport http.RoundTripper, url string, body []byte) error {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = http.Header{"Apikey": {"any"}, "Content-Type": {"application/json"}}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return errors.New(resp.Status)
	}
	return nil
}

// post runs the yardstick against the server.
func (s *server) post(b *testing.B, agents, inFlight int) usage {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	url := s.url + "/cometchat/2754abc/v3/ai-agents/agents"
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", postVariable, url, agents, inFlight))
	return run(b, cmd)
}
