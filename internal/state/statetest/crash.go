package statetest

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// block is the unit that a crash keeps or loses. Real ones are 512 or 4096 bytes; smaller ones put
// the tear into the middle of lines more often.
const block = 32

// A Loss decides what becomes of what was not synced.
type Loss interface {
	// keptNames returns how many of n changes of names reached the disk; they do so in order.
	keptNames(n int) int
	// keepsBlock reports whether the block reached the disk.
	keepsBlock() bool
	// losesPower reports whether the machine itself went down, and was started anew.
	losesPower() bool
}

type wholeLoss bool

func (a wholeLoss) keptNames(n int) int {
	if a {
		return 0
	}
	return n
}
func (a wholeLoss) keepsBlock() bool { return !bool(a) }
func (a wholeLoss) losesPower() bool { return bool(a) }

const (
	// LoseAll loses everything that was not synced: a power cut.
	LoseAll wholeLoss = true
	// LoseNothing keeps everything: the process was killed, the machine went on.
	LoseNothing wholeLoss = false
)

type randomLoss struct{ *rand.Rand }

func (s randomLoss) keptNames(n int) int { return s.IntN(n + 1) }
func (s randomLoss) keepsBlock() bool    { return s.IntN(2) == 0 }
func (s randomLoss) losesPower() bool    { return true }

// LoseSome loses random blocks of content, in any order, and the last of the changes of names. The
// same seed loses the same.
func LoseSome(seed uint64) Loss { return randomLoss{rand.New(rand.NewPCG(seed, 0))} }

// Crash returns the disk as it is found after a crash now. It can be called more than once on the
// same disk, which is left as it is.
func (f *FS) Crash(loss Loss) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := maps.Clone(f.durable)
	for _, apply := range f.pending[:loss.keptNames(len(f.pending))] {
		apply(names)
	}
	after := New()
	after.boot, after.made = f.boot, f.made
	if loss.losesPower() {
		after.boot++
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		content := survivingBlocks(n, loss)
		m := &inode{data: content, synced: slices.Clone(content), mode: n.mode, number: n.number}
		after.names[name], after.durable[name] = m, m
	}
	return after
}

// survivingBlocks mixes what was synced with what was not, block by block. Where the length changed, the
// new length counts if the last block survives; a block that does not survive in a longer file
// reads as zeros.
func survivingBlocks(n *inode, loss Loss) []byte {
	length := len(n.synced)
	if loss.keepsBlock() {
		length = len(n.data)
	}
	content := make([]byte, length)
	for at := 0; at < length; at += block {
		end := min(at+block, length)
		if at < len(n.synced) {
			copy(content[at:end], n.synced[at:])
		}
		if at < len(n.data) && loss.keepsBlock() {
			clear(content[at:end])
			copy(content[at:end], n.data[at:])
		}
	}
	return content
}
