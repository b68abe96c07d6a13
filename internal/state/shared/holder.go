package shared

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Holder is who has a lock, that of a file or of a shared place, for whoever has to wait.
type Holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host,omitempty"`
	User    string    `json:"user,omitempty"`
	Command string    `json:"command,omitempty"` // "apply"; never arguments, which may hold secrets
	Started time.Time `json:"started,omitzero"`
	RunURL  string    `json:"runUrl,omitempty"` // of the CI job, if it runs in one
	// Lease is how long the holder of a shared place may act after its last renewal, and Request how long one of its
	// requests to a platform may last: after that, nothing of it is under way. Both are 0 for a file, whose lock ends
	// with its holder.
	Lease   Duration `json:"lease,omitzero"`
	Request Duration `json:"request,omitzero"`
}

// String returns one line: "apply by ann on build-7 (process 4711) since 10:04:05 UTC, https://…".
func (h Holder) String() string {
	var b strings.Builder
	b.WriteString(cmp.Or(h.Command, "another run"))
	if h.User != "" {
		b.WriteString(" by " + h.User)
	}
	if h.Host != "" {
		b.WriteString(" on " + h.Host)
	}
	if h.PID != 0 {
		fmt.Fprintf(&b, " (process %d)", h.PID)
	}
	if !h.Started.IsZero() {
		b.WriteString(" since " + h.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	if h.RunURL != "" {
		b.WriteString(", " + h.RunURL)
	}
	return b.String()
}

// Duration is a time.Duration in whole seconds, rounded up.
type Duration time.Duration

// MarshalJSON writes seconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(int64((time.Duration(d) + time.Second - 1) / time.Second))
}

// UnmarshalJSON reads seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var seconds int64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return err
	}
	*d = Duration(time.Duration(seconds) * time.Second)
	return nil
}

// LockedError says that another run holds the lock.
type LockedError struct {
	// Path is the lock file, or the shared place.
	Path string
	// Holder is who holds it as far as it can be read, else zero.
	Holder Holder
	// Age is how long ago the holder of a shared place was last heard of, by the store's clock.
	Age time.Duration
	// Watch is how long it has to be seen silent, by this process, before it is taken over from; 0 where it was not
	// silent for longer than its lease by the store's clock.
	Watch time.Duration
	// Err is why the waiting ended: the context's cause.
	Err error
}

// Error names the holder.
func (e *LockedError) Error() string {
	text := fmt.Sprintf("the state is locked: %s holds %s", e.Holder, e.Path)
	if e.Holder.Lease > 0 {
		text += fmt.Sprintf(", last sign of life %d seconds ago", e.Age/time.Second)
	}
	return text
}

// Unwrap returns why the waiting ended, so that an interrupt can be told from a deadline.
func (e *LockedError) Unwrap() error { return e.Err }
