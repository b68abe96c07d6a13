package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/manifest"
	"agentsync/internal/report"
	"agentsync/schema"
)

// completeAddresses completes the first n arguments, or all where n is 0, with the addresses that the
// state and the manifests name. What cannot be read completes nothing: a shell is no place for errors.
func (a *app) completeAddresses(statePath *string, n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n > 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return a.addresses(cmd, statePath, word), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeManifests completes PATH arguments: folders, and files that may be manifests.
func completeManifests(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// completePlatforms completes the name of a platform.
func completePlatforms(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, _ := platforms() // a shell is no place for errors
	return platformNames(all), cobra.ShellCompDirectiveNoFileComp
}

// completeTargets completes the values of --target.
func (a *app) completeTargets(cmd *cobra.Command, statePath *string) {
	a.completeAddressFlag(cmd, "target", statePath)
}

func (a *app) completeAddressFlag(cmd *cobra.Command, flag string, statePath *string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.addresses(cmd, statePath, word), cobra.ShellCompDirectiveNoFileComp
	})
}

// completionPatience is how long a shell waits for a shared state.
const completionPatience = 2 * time.Second

// addresses returns the known addresses that begin with word, each with its uid where state has one.
func (a *app) addresses(cmd *cobra.Command, statePath *string, word string) []cobra.Completion {
	_ = a.flagsFromEnv(cmd) // completion runs before any command does
	known := map[agent.Address]string{}
	if all, err := platforms(); err == nil {
		var s []*schema.Platform
		for _, p := range schemas(all) {
			s = append(s, p)
		}
		fleet, _, err := manifest.Load(cmd.Context(), []string{defaultPath}, manifest.Options{Env: a.Lookup, Platforms: s})
		if err == nil {
			for _, d := range fleet.Agents {
				known[d.Address] = "in " + d.Source.File
			}
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	if file, err := a.openState(ctx, *statePath, 0); err == nil {
		if snap, err := file.Load(); err == nil {
			for addr, rec := range snap.State.Agents {
				known[addr] = "uid " + report.Sanitize(rec.UID)
			}
		}
	}
	var found []cobra.Completion
	for addr, what := range known {
		if strings.HasPrefix(addr.String(), word) {
			found = append(found, cobra.CompletionWithDesc(addr.String(), what))
		}
	}
	slices.Sort(found)
	return found
}
