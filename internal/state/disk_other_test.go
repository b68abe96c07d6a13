//go:build !linux

package state_test

import "testing"

func runDiskChild(t *testing.T, what, _ string) { t.Skip(what + " is tried on Linux") }

func diskChild(string) int { return 1 }
