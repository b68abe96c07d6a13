// Package apply carries a plan out, concurrently and under the guarantee: for each address at most
// one agent is ever made, and its uid is on disk from the moment the platform's answer arrives. It
// knows no file and no platform: it declares what it needs of both. It refuses to send anything
// after the ledger failed to store what was sent before.
package apply
