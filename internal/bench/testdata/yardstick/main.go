// Command yardstick is what the benchmarks measure agentsync against: the same work with the same libraries, and
// nothing else around it. It is a program of its own, for a test binary does the same a third slower.
//
//	yardstick decode DIR             decodes the manifests of a folder into yaml.v3 nodes, in one goroutine
//	yardstick post URL AGENTS N      posts agents with net/http, N at once, and drops the answers
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "decode":
		return decode(args[1])
	case len(args) == 4 && args[0] == "post":
		agents, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		inFlight, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		return post(args[1], agents, inFlight)
	}
	return errors.New("usage: yardstick decode DIR | post URL AGENTS N")
}

func decode(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var n yaml.Node
		if err := yaml.NewDecoder(bytes.NewReader(src)).Decode(&n); err != nil {
			return err
		}
	}
	return nil
}

// posted is an agent as it is sent, some 450 bytes.
const posted = `{"icon":"https://cdn.example.com/bot.png","integrateWith":"mastra","integrationMeta":{"agentId":"concierge-%[1]d",` +
	`"baseUrl":"https://agents.example.com/%[1]d"},"integrationType":"agent","metaData":{"greetingMessage":` +
	`"Hello and welcome to tenant %[1]d!","introductoryMessage":"I know every order and every policy.","suggestedMessages":` +
	`["Where is my order?","Talk to a person"]},"name":"Concierge %[1]d"}`

func post(url string, agents, inFlight int) error {
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
