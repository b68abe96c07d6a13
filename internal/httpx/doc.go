// Package httpx is the stack of RoundTrippers that requests to one app pass through, from the outside
// in: pace, time limit, trace, authentication, transport. It promises that the API key goes to the
// configured scheme, host and port and nowhere else, that no layer sends a request twice, that every
// request ends within its time limit (the reading of its body included), and that a platform which
// asks for a pause gets it from all requests of that app. It refuses to follow redirects, to speak
// TLS below 1.2, and to know what a request is about.
package httpx
