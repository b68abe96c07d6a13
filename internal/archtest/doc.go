// Package archtest holds the house to its plan: tests alone, over what the packages import and how they
// are written. Each rule stands with its reason. It promises that docs/architecture.md shows the imports
// and the libraries as they are; it refuses to be imported.
package archtest
