package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/exit"
	"agentsync/internal/sandbox"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
)

// sandboxLong ends with the rules of faults, which the sandbox itself explains.
var sandboxLong = `Serves the platforms' APIs on this machine, so that agentsync can be tried and tested without an account. It refuses
whatever the platforms' published contracts refuse. The agents are kept in memory, or in a file, which contains what
agents were sent, with secrets in clear. The page at / shows the agents.

A rule makes something go wrong. Each --fault is one rule:

  --fault 'drop-after platform=mindset nth=3'      the third request to Mindset is carried out, its answer is lost
  --fault 'status-after=502 op=create p=0.1'       one create in ten is carried out, and answered 502
  --fault 'throttle=2s every=20'                   every twentieth request is answered 429
  --fault 'latency=50ms' --fault 'lag=2s'          answers are slow, and lists show new agents late
  --fault 'slow=34s op=create'                     creates are carried out after their client has given up

If several rules fit a request, all of them apply. If several of them would answer it, the first one does. D is a
time (50ms, 2s, 1m30s), N a number.

` + sandbox.FaultsHelp()

// sandboxFlags are the flags of the sandbox command.
type sandboxFlags struct {
	listen, file, faultsFile, rateLimit string
	faults                              []string
	pageSize                            int
	wrapped, millis, masked, quietLimit bool
	keys                                []string
	listEnd                             int
	referencesFile                      string
	tools, actions, contexts            []string
}

func (a *app) sandboxCommand() *cobra.Command {
	var f sandboxFlags
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve the platforms on loopback, with faults on request",
		Long:  sandboxLong,
		Example: `  agentsync sandbox
  agentsync sandbox --listen 127.0.0.1:8080 --file .agentsync/sandbox.jsonl
  agentsync sandbox --fault 'drop-after op=create nth=2'`,
	}
	set := cmd.Flags()
	set.StringVar(&f.listen, "listen", "127.0.0.1:8787", "loopback `ADDRESS` to listen on; port 0 takes a free one")
	set.StringVar(&f.file, "file", "", "keep the agents in `FILE`; without it they are kept in memory")
	set.StringArrayVar(&f.faults, "fault", nil, "a fault `RULE`; repeatable")
	set.StringVar(&f.faultsFile, "faults", "", "a `FILE` of fault rules, one on each line")
	set.StringVar(&f.rateLimit, "rate-limit", "", "requests that each app may send, as `N/s` or N/m")
	set.BoolVar(&f.quietLimit, "quiet-limit", false, "send no rate-limit headers; only 429s show the limit")
	set.IntVar(&f.pageSize, "page-size", 50, "entries in a page of Mindset's lists")
	set.IntVar(&f.listEnd, "list-end", 404, "`STATUS` of the empty page that ends a list of Mindset's: 404 or 200")
	set.StringArrayVar(&f.tools, "tool", nil,
		"a `NAME` that agents may use as a tool; repeatable; without it every name is accepted")
	set.StringArrayVar(&f.actions, "action", nil, "a `NAME` that agents may use as an action; as --tool")
	set.StringArrayVar(&f.contexts, "context", nil, "the `UID` of a context that agents may use; as --tool")
	set.StringVar(&f.referencesFile, "references", "",
		"a `FILE` of tools, actions and contexts, one on each line: tool NAME DISPLAY-NAME")
	set.BoolVar(&f.wrapped, "wrapped-list", false, `answer CometChat's list as {"data": […]}`)
	set.BoolVar(&f.millis, "millis", false, "write CometChat's times as Unix milliseconds")
	set.BoolVar(&f.masked, "mask-headers", false, "show asterisks in place of the values in integrationMeta.headers")
	set.StringArrayVar(&f.keys, "key", nil, "accept only this API `KEY`; repeatable")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := workspace.Platforms()
		if err != nil {
			return err
		}
		options, err := f.options()
		if err != nil {
			return err
		}
		local, err := workspace.Listen(f.listen, options)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.Out, "The sandbox listens on %s (the page at / shows its agents). In another shell:\n\n",
			local.URL())
		for _, name := range workspace.Names(all) {
			if base, ok := sandbox.BasePath(name); ok {
				fmt.Fprintf(a.Out, "  export %s=%s%s %s=sandbox-key\n",
					ui.Variable(name+"-endpoint"), local.URL(), base, all[name].Schema().APIKeyEnv)
			}
		}
		fmt.Fprint(a.Out, "\nInterrupt ends it.\n")
		<-cmd.Context().Done()
		return local.Close()
	}
	return cmd
}

func (f *sandboxFlags) options() (o sandbox.Options, err error) {
	rules := f.faults
	if f.faultsFile != "" {
		b, err := os.ReadFile(f.faultsFile)
		if err != nil {
			return o, exit.Usagef("--faults: %w", err)
		}
		rules = append(rules, string(b))
	}
	o = sandbox.Options{File: f.file, Keys: f.keys, Tools: f.tools, Actions: f.actions, Contexts: f.contexts,
		Millis: f.millis, WrappedList: f.wrapped, MaskHeaders: f.masked, PageSize: max(f.pageSize, 1),
		ListEnd: f.listEnd}
	if o.Faults, err = sandbox.ParseFaults(rules...); err != nil {
		return o, exit.Usagef("%w", err).Hinted("see the rules:\n  agentsync sandbox --help")
	}
	if f.listEnd != 200 && f.listEnd != 404 {
		return o, exit.Usagef("--list-end is %d; there are 200 and 404", f.listEnd)
	}
	if f.referencesFile != "" {
		b, err := os.ReadFile(f.referencesFile)
		if err != nil {
			return o, exit.Usagef("--references: %w", err)
		}
		if o.References, err = sandbox.ParseReferences(string(b)); err != nil {
			return o, exit.Usagef("--references: %w", err)
		}
	}
	if f.rateLimit != "" {
		o.Limit, err = parseRate(f.rateLimit)
		o.Limit.Quiet = f.quietLimit
	}
	return o, err
}

// parseRate reads "20/s" or "500/m".
func parseRate(s string) (limit sandbox.RateLimit, err error) {
	digits, unit, _ := strings.Cut(s, "/")
	limit.Requests, err = strconv.Atoi(digits)
	limit.Per = map[string]time.Duration{"s": time.Second, "m": time.Minute}[unit]
	if err != nil || limit.Requests < 1 || limit.Per == 0 {
		return limit, exit.Usagef(`--rate-limit must look like 20/s or 500/m`)
	}
	return limit, nil
}
