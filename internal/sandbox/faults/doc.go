// Package faults is the sandbox's script of faults: what can go wrong, the grammar of a script, and which rules apply
// to a request. It carries none of them out, and knows neither HTTP nor a platform.
package faults
