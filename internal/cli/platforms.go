package cli

import (
	"fmt"

	"agentsync/internal/platform"
	"agentsync/internal/platform/cometchat"
	"agentsync/internal/platform/mindset"
	"agentsync/schema"
)

// platforms returns every platform that agentsync drives. A new one is one line here.
func platforms() (map[string]platform.Platform, error) {
	all := map[string]platform.Platform{}
	for _, open := range []func() (platform.Platform, error){
		cometchat.New,
		mindset.New,
	} {
		p, err := open()
		if err != nil {
			return nil, fmt.Errorf("open a platform: %w", err)
		}
		all[p.Name()] = p
	}
	return all, nil
}

// schemas returns the platforms' traits by name.
func schemas(all map[string]platform.Platform) map[string]*schema.Platform {
	m := make(map[string]*schema.Platform, len(all))
	for name, p := range all {
		m[name] = p.Schema()
	}
	return m
}
