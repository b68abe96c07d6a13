package httpx

import (
	"net/http"
	"time"
)

// Retry says how often a read is tried and how long is waited in between. The zero Retry tries once. This package
// tries nothing again: who knows a request's method and the meaning of its answer does, see RetryOf.
type Retry struct {
	// Tries is how often a read is sent at the most.
	Tries uint
	// First and Max bound the wait between two tries, which grows by half each time and is varied at random. A
	// platform that asks for longer gets it.
	First, Max time.Duration
}

// DefaultRetry is for reads over a network: four tries within some seconds.
func DefaultRetry() Retry {
	return Retry{Tries: 4, First: 500 * time.Millisecond, Max: 10 * time.Second}
}

// RetryOf returns what the Options of NewClient said of hc, and the zero Retry for any other client.
func RetryOf(hc *http.Client) Retry {
	s, _ := hc.Transport.(stack)
	return s.retry
}
