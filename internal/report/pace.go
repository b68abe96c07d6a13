package report

import "time"

// paceWindow is how far back the rate looks: long enough to be steady across a platform's pauses,
// short enough to follow when a limit sets in.
const paceWindow = 15

// settleFirst is how long a run must have gone on before a rate is said: the first answers come in a
// burst and promise too much.
const settleFirst = 2 * time.Second

// pace measures how many agents are finished in a second, over the last paceWindow seconds. It keeps
// one number per second, however many agents there are.
type pace struct {
	start   time.Time
	buckets [paceWindow]int
	last    int // the second, from start, that the newest bucket is for
}

// add counts one finished agent.
func (p *pace) add(now time.Time) {
	p.roll(now)
	p.buckets[p.last%paceWindow]++
}

// roll moves on to the current second and empties the buckets that were passed over.
func (p *pace) roll(now time.Time) {
	second := int(now.Sub(p.start) / time.Second)
	for steps := 0; p.last < second && steps < paceWindow; steps++ {
		p.last++
		p.buckets[p.last%paceWindow] = 0
	}
	p.last = max(p.last, second)
}

// rate returns agents per second, or 0 where it is too early to say. Only whole seconds count, so that
// it stands still between two of them instead of trembling with every redraw.
func (p *pace) rate(now time.Time) float64 {
	p.roll(now)
	whole := min(p.last, paceWindow-1)
	if now.Sub(p.start) < settleFirst || whole == 0 {
		return 0
	}
	total := 0
	for back := 1; back <= whole; back++ {
		total += p.buckets[(p.last-back)%paceWindow]
	}
	return float64(total) / float64(whole)
}
