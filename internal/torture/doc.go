// Package torture holds tests alone: the real binary against the sandbox in another process, killed,
// interrupted, locked out, with full disks and lost files, and the whole tool in this process against
// every fault of the sandbox. It promises that each case ends the same way: one agent per address by
// the sandbox's own count, every uid in the state, nothing left to do. Quick versions run always; with
// AGENTSYNC_TORTURE set they run long. What it finds is written down in docs/guarantees.md.
package torture
