package plan

import "agentsync/internal/secret"

// Masked reports whether what a platform answered in a secret field is a mask in place of the secret,
// or empty, so that it says nothing of the secret's value.
func Masked(t secret.Text) bool { return hides(t) }
