package apply_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"agentsync/internal/agent"
	"agentsync/internal/state/statetest"
)

// TestCrashAtEveryCall ends the machine at each call of the file system that a run makes: between any
// two writes, fsyncs and renames of journal and state. The run creates, updates, replaces, renames and
// deletes; some answers come, some are lost with the process.
func TestCrashAtEveryCall(t *testing.T) {
	losses := map[string]statetest.Loss{"kill": statetest.LoseNothing, "power cut": statetest.LoseAll,
		"torn": statetest.LoseSome(7)}
	crashes := 0
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				p, crashed := crashAt(t, n, loss)
				if len(p.failures) > 0 {
					t.Fatalf("%s at call %d: %v\n%v", name, n, p.failures, p.log)
				}
				if !crashed {
					break
				}
				crashes++
			}
		})
	}
	if crashes < 3*20 {
		t.Errorf("%d crashes: the run made fewer calls than it must", crashes)
	}
	t.Logf("%d crashes", crashes)
}

func crashAt(t *testing.T, n int, loss statetest.Loss) (p *player, crashed bool) {
	synctest.Test(t, func(t *testing.T) {
		p = &player{ctx: t.Context()}
		defer func() {
			if r := recover(); r != nil && r != any(p) {
				panic(r)
			}
		}()
		p.world = newWorldAt(p, "/fleet/state.json")
		p.disk, p.prune = statetest.New(), true
		p.client[comet] = altered{Client: p.memory[comet]} // this platform cannot be asked for one agent
		p.want = fleet(3)
		p.want = append(p.want, coach("r", "externalTenantId", "t1"))
		p.mustApply()

		p.want = fleet(5)[2:] // c000 and m000 go, three of each come
		p.want[0].Fields["name"] = "Renamed"
		p.want[1].Fields["agentPurpose"] = "New."
		moved := coach("n", "externalTenantId", "t2")
		moved.PreviousKeys = []string{"r"}
		p.want = append(p.want, moved)
		p.disk.CrashAt(n)
		_, err := p.apply(p.ctx)
		crashed = err != nil
		p.disk = p.disk.Crash(loss)
		for range 2 {
			if _, err := p.apply(p.ctx); err != nil {
				p.Fatalf("after the crash: %v", err)
			}
		}
		p.check()
		for id, m := range map[agent.AppID]int{comet: 4, mind: 5} {
			if live := len(p.memory[id].Agents()); live != m {
				p.Errorf("%s", fmt.Sprintf("%s: %d agents are live, want %d", id, live, m))
			}
		}
	})
	return p, crashed
}
