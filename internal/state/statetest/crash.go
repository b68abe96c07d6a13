package statetest

import (
	"math/rand/v2"
	"slices"
)

// block is the unit that a crash keeps or loses. Real ones are 512 or 4096 bytes; smaller ones put
// the tear into the middle of lines more often.
const block = 32

// A Loss decides what becomes of what was not synced.
type Loss interface {
	// names returns how many of n changes of names reached the disk; they do so in order.
	names(n int) int
	// block reports whether the block reached the disk.
	block() bool
	// power reports whether the machine itself went down, and was started anew.
	power() bool
}

type all bool

func (a all) names(n int) int {
	if a {
		return 0
	}
	return n
}
func (a all) block() bool { return !bool(a) }
func (a all) power() bool { return bool(a) }

const (
	// LoseAll loses everything that was not synced: a power cut.
	LoseAll all = true
	// LoseNothing keeps everything: the process was killed, the machine went on.
	LoseNothing all = false
)

type some struct{ *rand.Rand }

func (s some) names(n int) int { return s.IntN(n + 1) }
func (s some) block() bool     { return s.IntN(2) == 0 }
func (s some) power() bool     { return true }

// LoseSome loses random blocks of content, in any order, and the last of the changes of names. The
// same seed loses the same.
func LoseSome(seed uint64) Loss { return some{rand.New(rand.NewPCG(seed, 0))} }

// Crash returns the disk as it is found after a crash now. It can be called more than once on the
// same disk, which is left as it is.
func (f *FS) Crash(loss Loss) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := map[string]*inode{}
	for name, n := range f.durable {
		names[name] = n
	}
	for _, apply := range f.pending[:loss.names(len(f.pending))] {
		apply(names)
	}
	after := New()
	after.boot, after.made = f.boot, f.made
	if loss.power() {
		after.boot++
	}
	for _, name := range sortedNames(names) {
		n := names[name]
		content := survivors(n, loss)
		m := &inode{data: content, synced: slices.Clone(content), mode: n.mode, number: n.number}
		after.names[name], after.durable[name] = m, m
	}
	return after
}

func sortedNames(names map[string]*inode) []string {
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// survivors mixes what was synced with what was not, block by block. Where the length changed, the
// new length counts if the last block survives; a block that does not survive in a longer file
// reads as zeros.
func survivors(n *inode, loss Loss) []byte {
	length := len(n.synced)
	if loss.block() {
		length = len(n.data)
	}
	content := make([]byte, length)
	for at := 0; at < length; at += block {
		end := min(at+block, length)
		if at < len(n.synced) {
			copy(content[at:end], n.synced[at:])
		}
		if at < len(n.data) && loss.block() {
			clear(content[at:end])
			copy(content[at:end], n.data[at:])
		}
	}
	return content
}
