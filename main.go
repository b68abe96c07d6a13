// Agentsync keeps a team's chat agents as YAML in git and syncs them to CometChat and Mindset AI.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"agentsync/internal/cli"
	"agentsync/internal/crash"
	"agentsync/internal/exit"
	"agentsync/internal/heap"
)

func main() {
	defer crash.Guard()
	crash.Arm()
	keep := heap.Prepare()
	ctx, cancel := context.WithCancelCause(context.Background())
	go crash.WatchMemory(cli.MemoryLimit(os.Environ()), cancel)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup stays what it is
		signal.Notify(signals, syscall.SIGHUP) // a terminal that was closed: record what is in flight
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that went away ends the output alone; see cli.Run
	go func() {
		defer crash.Guard()
		<-signals
		cancel(nil) // the first signal: start nothing new, finish what is in flight
		for s := range signals {
			if s != syscall.SIGHUP { // a shell passes on the hangup that the kernel sent already
				os.Exit(exit.Interrupted) // the second: the next run recovers what is open
			}
		}
	}()
	streams := cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	code := cli.Run(ctx, os.Environ(), streams, os.Args[1:])
	runtime.KeepAlive(keep)
	os.Exit(code)
}
