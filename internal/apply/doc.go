// Package apply carries a plan out, concurrently and under the guarantee: for each address at most
// one agent is ever made, and its uid is on disk from the moment the platform's answer arrives. It
// knows no file and no platform: it declares what it needs of both. It refuses to send anything
// after the ledger failed to store what was sent before.
//
// The files, in the order in which an apply runs through them: apply.go recovers, lists, plans and goes round until
// nothing is open; run.go carries out the changes of each app side by side; write.go is the one change; request.go
// sends its request; list.go says which agents there are, and how far that is to be believed; verify.go compares what
// was written with a list from after it; recover.go decides what became of requests without an answer.
//
// Words:
//
//   - An agent is what a platform runs; a record is what the ledger knows of the one at an address.
//   - An intent is a request that is about to be sent; a result is what became of it. An intent without a result is
//     open, and its agent undecided.
//   - A request is given up when nobody waits for its answer any more: its connection is closed, and what it may still
//     do, it does within the grace period, which begins there.
//   - Recovery decides open intents: made, not made, done, to be sent again, or a person must say.
//   - A listing is what a platform answers to the question which agents there are. Whole is one that misses nothing, as
//     far as anybody can tell; doubt is why one may miss agents. Trusted is what a list in doubt proves all the same:
//     what it shows is there. Foreign is a list that shows nothing of what the ledger knows: it may be of another app,
//     and proves nothing.
//   - A suspect is a new agent that an open create may have made although it does not hold what was sent.
package apply
