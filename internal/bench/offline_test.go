package bench

import (
	"path/filepath"
	"testing"
)

// rounds is how often each process runs that is measured against another.
const rounds = 7

// BenchmarkPlan plans fleets in which nothing changed. The state was written by a real apply.
func BenchmarkPlan(b *testing.B) {
	dir := fleet(b, 10_000, 20)
	state := applied(b, dir)
	plan := func(dir, state string) func() usage {
		return func() usage { return agentsync(b, dir, nil, "plan", "--detailed-exitcode", "--state", state, ".") }
	}
	decoding := func(dir string) func() usage { return func() usage { return measured(b, "decode", dir) } }

	u := quickest(rounds, decoding(dir), plan(dir, state),
		func() usage { return agentsync(b, dir, nil, "validate", ".") })
	found("`plan` of 10,000 unchanged agents, 20 files, against decoding them alone",
		"≤ 1.5 × the wall time, ≤ 150 MiB",
		"%.2f × (%s; decoding %s), %.2f × its CPU time, %.0f MiB", ratio(u[1].wall, u[0].wall), ms(u[1].wall),
		ms(u[0].wall),
		ratio(u[1].cpu, u[0].cpu), u[1].memory)
	found("`validate` of 10,000 agents, against the same", "≤ 1.2 ×",
		"%.2f × (%s), %.2f × its CPU time, %.0f MiB", ratio(u[2].wall, u[0].wall), ms(u[2].wall),
		ratio(u[2].cpu, u[0].cpu),
		u[2].memory)

	one := fleet(b, 10_000, 1)
	u = quickest(rounds, decoding(one), plan(one, applied(b, one)))
	found("`plan` of one file with 10,000 agents, against decoding it alone", "≤ 2 ×",
		"%.2f × (%s; decoding %s), %.2f × its CPU time", ratio(u[1].wall, u[0].wall), ms(u[1].wall), ms(u[0].wall),
		ratio(u[1].cpu, u[0].cpu))

	big := fleet(b, 100_000, 200)
	bigState := applied(b, big)
	// Ten plans of 10,000 take as long as one of 100,000: what else the machine does meets both alike.
	u = quickest(4, plan(big, bigState), tenTimes(plan(dir, state)))
	found("`plan` of 100,000 unchanged agents, 200 files, against 10,000", "≤ 11 × the time, ≤ 1 GiB",
		"%.1f × (%s), %.1f × the CPU time, %.0f MiB", 10*ratio(u[0].wall, u[1].wall), ms(u[0].wall),
		10*ratio(u[0].cpu, u[1].cpu), u[0].memory)
}

// tenTimes returns what ten runs cost together.
func tenTimes(run func() usage) func() usage {
	return func() (sum usage) {
		for range 10 {
			u := run()
			sum.wall += u.wall
			sum.cpu += u.cpu
			sum.memory = max(sum.memory, u.memory)
		}
		return sum
	}
}

// BenchmarkStart is what every start costs.
func BenchmarkStart(b *testing.B) {
	dir := conciergeFleet(b, 1)
	u := quickest(20,
		func() usage { return agentsync(b, dir, nil, "version") },
		func() usage { return agentsync(b, dir, nil, "plan", "--state", filepath.Join(dir, "none.json"), ".") })
	found("`agentsync version`", "≤ 15 ms of CPU", "%.1f ms", u[0].cpu.Seconds()*1000)
	found("`plan` of one agent", "≤ 25 ms of CPU", "%.1f ms", u[1].cpu.Seconds()*1000)
}
