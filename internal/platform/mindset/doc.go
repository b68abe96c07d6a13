// Package mindset speaks to Mindset AI's agents API, v1. It knows that platform's addresses, envelopes
// and paging and nothing else; what a field is, its schema says. It promises what the platform contract
// promises, and that a list which cannot be shown to be whole is an error; it refuses to guess: a
// create that answers no uid is unknown.
package mindset
