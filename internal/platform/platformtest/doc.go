// Package platformtest is what tests of the platform contract stand on: the conformance suite that
// every adapter passes, a platform in memory, and decorators that fail, delay or hide what a client
// answers. It promises that a fault strikes at a call that the test names, never by chance or by the
// clock; it refuses to know any platform's wire format.
package platformtest
