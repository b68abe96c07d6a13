package platform

import (
	"net/http"

	"agentsync/internal/httpx"
)

// classify says what became of a request that was answered. It is the one place that decides: what is
// not known to be done or not done is unknown.
func classify(status int, h http.Header) Class {
	switch {
	case status >= 200 && status < 300:
		return Done
	case httpx.Throttled(status, h):
		return Throttled
	}
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity:
		return Refused
	}
	return Unknown
}
