// Command release makes what a version of agentsync is published as: binaries, archives, packages, an image,
// SBOMs, checksums. It promises that the same commit gives the same bytes on any machine with the same Go
// toolchain, and refuses to run on a tree with changes that no commit contains.
//
// It is a module of its own: what packs a release must not be among the libraries of the tool.
package main
