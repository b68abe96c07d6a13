// Package cometchat speaks to CometChat's BYO agents API, v3. It knows that platform's addresses,
// envelopes and oddities and nothing else; what a field is, its schema says. It promises what the
// platform contract promises; it refuses to guess: a create that answers no uid is unknown.
package cometchat
