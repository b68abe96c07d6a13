package cli

import (
	"context"
	"errors"
	"os"
	"os/user"
	"time"

	"agentsync/internal/state"
)

// lock takes the state's lock, saying who waits for whom.
func (a *app) lock(ctx context.Context, file *state.File, command string, wait time.Duration) (func() error, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	unlock, err := file.Lock(ctx, a.holder(command))
	var locked *state.LockedError
	if err != nil && !errors.As(err, &locked) {
		return nil, stateError(err)
	}
	return unlock, err
}

// holder says who takes the lock, the CI job included.
func (a *app) holder(command string) state.Holder {
	h := state.Holder{PID: os.Getpid(), Command: command, Started: time.Now(), RunURL: a.runURL()}
	h.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		h.User = u.Username
	}
	return h
}

// runURL is the page of the CI job that runs this, by the variables of the usual systems.
func (a *app) runURL() string {
	if server, repo, id := a.env["GITHUB_SERVER_URL"], a.env["GITHUB_REPOSITORY"], a.env["GITHUB_RUN_ID"]; server != "" && repo != "" && id != "" {
		return server + "/" + repo + "/actions/runs/" + id
	}
	for _, name := range []string{"CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL"} {
		if url := a.env[name]; url != "" {
			return url
		}
	}
	return ""
}
