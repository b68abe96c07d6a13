// Agentsync keeps a team's chat agents as YAML in git and syncs them to CometChat and Mindset AI.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"agentsync/internal/cli"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel() // the first signal: start nothing new, finish what is in flight
		<-signals
		os.Exit(cli.ExitInterrupted) // the second: the next run settles what is open
	}()
	streams := cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	os.Exit(cli.Run(ctx, os.Environ(), streams, os.Args[1:]))
}
