package cometchat

import (
	"agentsync/internal/platform"
	"agentsync/schema"
)

// What the platform's reference gives.
const (
	name      = "cometchat"
	keyHeader = "apikey"

	// Pins the meaning of the calls; optional.
	versionHeader = "chatApiVersion"
	version       = "v3.0"
)

// Members of an answered agent that are not among the schema's fields.
const (
	memberUID       = "uid"
	memberCreatedAt = "createdAt"
	memberDeletedAt = "deletedAt" // null, or a value when soft-deleted
)

// Envelopes: {"agent": {...}} answers a create, other calls of this API wrap in {"data": ...}, and an
// update or a delete answers {"success": true} alone.
const (
	memberAgent      = "agent"
	memberAgents     = "agents"
	memberData       = "data"
	memberMeta       = "meta"
	memberPagination = "pagination"
	memberSuccess    = "success"
)

// shapeOf is how the platform writes agents with the schema's fields.
func shapeOf(s *schema.Platform, c *platform.Caller) platform.Shape {
	return platform.Shape{
		Schema: s, UID: memberUID, CreatedAt: memberCreatedAt, Secrets: c.Secrets(),
		Wrappers: []string{memberData, memberAgent}, Lists: []string{memberData, memberAgents},
	}
}

// Beginnings of the platform's codes: those of the key or the app, and all others. Their statuses are not documented,
// and a limit of the plan may be answered 403 like a wrong key.
const (
	codesOfKey     = "AUTH_ERR_"
	codesOfRequest = "ERR_"
)

// codeNoSuchAgent is the platform's code for an agent that it does not have.
const codeNoSuchAgent = "ERR_AGENT_NOT_FOUND"

// agentsPath is the path below the base URL, which ends in /v3.
func agentsPath(uid ...string) []string {
	return append([]string{"ai-agents", "agents"}, uid...)
}

// toolsPath is the path of what an app's agents refer to in tools and actions.
func toolsPath() []string { return []string{"ai-agents", "tools"} }
