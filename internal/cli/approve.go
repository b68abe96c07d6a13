package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"agentsync/internal/plan"
)

// showPlan writes the plan before the question, in text form only: the other formats report the run.
func (a *app) showPlan(f *applyFlags, p *plan.Plan, w *workspace) error {
	if f.format.value != formatText {
		return nil
	}
	return writePlanTo(a.streams.Out, formatText, "", p, w, a.style(a.streams.Out))
}

// canAsk refuses to begin what could not be approved later.
func (a *app) canAsk(f *applyFlags) error {
	if _, tty := terminal(a.streams.In); tty || f.autoApprove {
		return nil
	}
	return &Failure{Code: ExitUsage, Err: errors.New("there are changes, and no terminal to ask on"),
		Hint: "look at the plan, then apply it without a question:\n  agentsync plan\n  agentsync apply --auto-approve"}
}

// confirm asks whether to go on.
func (a *app) confirm(ctx context.Context, f *applyFlags, p *plan.Plan) error {
	return a.ask(ctx, f, "Apply "+count(p.Summary.Changes(), "change"))
}

// ask asks a question that only a yes answers in favour.
func (a *app) ask(ctx context.Context, f *applyFlags, question string) error {
	if f.autoApprove {
		return nil
	}
	fmt.Fprintf(a.streams.Err, "\n%s? Type yes to go on: ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.streams.In).ReadString('\n') // no answer is a no
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case s := <-answer:
		if s != "yes" {
			return &Failure{Code: ExitFailed, Err: errors.New("not approved; nothing was changed")}
		}
		return nil
	}
}
