package sandbox

import (
	"sync"
	"time"
)

// later holds effects that happen after their connection was closed.
type later struct {
	mu      sync.Mutex // guards pending and flushed
	pending map[*time.Timer]func()
	flushed bool
	running sync.WaitGroup
}

// after runs effect when d is over, or at the flush if that comes first.
func (l *later) after(d time.Duration, effect func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flushed {
		d = 0
	}
	if l.pending == nil {
		l.pending = map[*time.Timer]func(){}
	}
	l.running.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		l.mu.Lock() // held above until the timer is in the map
		delete(l.pending, timer)
		l.mu.Unlock()
		effect()
		l.running.Done()
	})
	l.pending[timer] = effect
}

// flush runs everything that is pending and returns when all of it is done.
func (l *later) flush() {
	l.mu.Lock()
	var now []func()
	for timer, effect := range l.pending {
		if timer.Stop() {
			now = append(now, effect)
		}
	}
	l.pending, l.flushed = nil, true
	l.mu.Unlock()
	for _, effect := range now {
		effect()
		l.running.Done()
	}
	l.running.Wait()
}
