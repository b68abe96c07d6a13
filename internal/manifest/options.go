package manifest

import (
	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// Options say how manifests are read.
type Options struct {
	// Env fills ${env:NAME}. It must not be nil and must be safe for concurrent use.
	Env secret.Lookup
	// Platforms are the platforms that sections may name, as schema.Load gives them.
	Platforms []*schema.Platform
	// Locate asks for the places of values, by address and by JSON pointers from the agent's root: see Fleet.Places. A
	// look costs some time for each value, so a caller asks for those that a problem is about, and reads once more.
	Locate map[agent.Address][]string
	// Limits bound what is read; the zero value stands for the defaults.
	Limits Limits
}

// Limits bound the cost of reading manifests, so that a file that is too large, or grows when its
// aliases are followed, costs a sentence and not the machine. A field that is zero takes its default.
type Limits struct {
	// FileBytes is the largest file that is read, in bytes (32 MiB).
	FileBytes int64
	// TotalBytes is the most that all files may hold together, in bytes (1 GiB).
	TotalBytes int64
	// Files is the largest number of files (200,000).
	Files int
	// Values is the largest number of values in one file, after aliases are followed (1,000,000). Merging
	// defaults may make four times as many of them.
	Values int
	// TextBytes is the longest text, in bytes, once its variables are filled in (1 MiB).
	TextBytes int
	// ContentBytes is the most that the texts of one file may hold together, in bytes, once aliases are
	// followed, defaults are merged and variables are filled in (64 MiB).
	ContentBytes int
	// Depth is how deep values may be nested (100).
	Depth int
	// Problems is how many errors are told of one file, which is not read on from there (1,000). Warnings
	// are not counted.
	Problems int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		FileBytes:    orDefault(l.FileBytes, 32<<20),
		TotalBytes:   orDefault(l.TotalBytes, 1<<30),
		Files:        orDefault(l.Files, 200_000),
		Values:       orDefault(l.Values, 1_000_000),
		TextBytes:    orDefault(l.TextBytes, 1<<20),
		ContentBytes: orDefault(l.ContentBytes, 64<<20),
		Depth:        orDefault(l.Depth, agent.MaxDepth),
		Problems:     orDefault(l.Problems, 1_000),
	}
}

func orDefault[T int | int64](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}
