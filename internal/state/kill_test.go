package state_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/state"
)

// childEnv holds the state file's path in the child process.
const childEnv = "AGENTSYNC_STATE_TEST_CHILD"

// child is the process that gets killed: it makes agents, eight at a time, and says so on stdout
// when they are made, with a lock, a journal and a fold every 50 agents.
func child(path string) int {
	f := state.NewFile(path)
	unlock, err := f.Lock(context.Background(), state.Holder{PID: os.Getpid(), Command: "test"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer unlock()
	for round := 0; ; round++ {
		if err := childRun(f, round); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
}

func childRun(f *state.File, round int) error {
	snap, err := f.Load(context.Background())
	if err != nil {
		return err
	}
	run, err := f.Begin(context.Background(), snap, 1<<16)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 6 {
				key := fmt.Sprintf("p%d-r%d-w%d-%d", os.Getpid(), round, worker, i)
				id, err := run.Intend(state.Intent{Address: addr(key), Action: "create", Fields: doc(key)})
				if err != nil {
					return // Close reports it
				}
				fmt.Printf("intent %s\n", key)
				if run.Leaving(id) != nil {
					return
				}
				fmt.Printf("left %s\n", key)
				r := recorded(key, "uid-"+key)
				r.Intent = id
				if run.Commit(r) == nil {
					fmt.Printf("done %s\n", key)
				}
			}
		})
	}
	wg.Wait()
	return run.Close(context.Background())
}

func recorded(key, uid string) state.Result {
	return state.Result{Address: addr(key), Kind: state.Recorded, Record: agent.Record{UID: uid, Applied: doc(key)}}
}

// TestKill kills a real process, again and again on the same files, and checks after each time that
// everything it said is true, and that the lock is free.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	rng := rand.New(rand.NewPCG(1, 2))
	said := map[string]string{} // what the children said of each key
	for range 12 {
		readChild(t, path, 1+rng.IntN(400), said)
		f := state.NewFile(path)
		unlock, err := f.Lock(t.Context(), state.Holder{Command: "check"})
		if err != nil {
			t.Fatal(err)
		}
		checkSaid(t, f, said)
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d agents", len(said))
}

// readChild starts a child, reads the given number of lines, kills it, and reads the rest.
func readChild(t *testing.T, path string, lines int, said map[string]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for scan := bufio.NewScanner(out); scan.Scan(); lines-- {
		if what, key, ok := strings.Cut(scan.Text(), " "); ok {
			said[key] = what
		}
		if lines == 0 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || lines > 0 {
		t.Fatalf("the child ended by itself: %v, %d lines short", err, lines)
	}
}

func checkSaid(t *testing.T, f *state.File, said map[string]string) {
	t.Helper()
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	open := map[agent.Address]bool{}
	for _, i := range snap.Open {
		open[i.Address] = true
		if i.NeverLeft && said[i.Address.Key] == "left" {
			t.Errorf("the request of %s left, and is taken for one that never did", i.Address.Key)
		}
	}
	for key, what := range said {
		rec, there := snap.State.Agents[addr(key)]
		switch {
		case there && rec.UID != "uid-"+key:
			t.Errorf("%s has the uid %s", key, rec.UID)
		case !there && what == "done":
			t.Errorf("%s was acknowledged and is lost", key)
		case !there && !open[addr(key)]:
			t.Errorf("the intent of %s was acknowledged and is lost", key)
		}
	}
}
