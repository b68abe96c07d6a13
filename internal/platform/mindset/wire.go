package mindset

import (
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/schema"
)

// What the platform's reference gives.
const (
	name        = "mindset"
	keyHeader   = "x-api-key"
	defaultHost = "a.api.mindset.ai"
)

// Members of an answered agent that are not among the schema's fields.
const (
	memberUID       = "uid"
	memberCreatedAt = "createdAt"
)

// Envelopes: {"agents": [...]} answers a list; an agent is answered flat.
const (
	memberAgents = "agents"
	memberAgent  = "agent"
	memberData   = "data"

	memberSuccess = "success"
)

// shapeOf is how the platform writes agents with the schema's fields.
func shapeOf(s *schema.Platform, c *platform.Caller) platform.Shape {
	return platform.Shape{
		Schema: s, UID: memberUID, CreatedAt: memberCreatedAt, Secrets: c.Secrets(),
		Wrappers: []string{memberData, memberAgent}, Lists: []string{memberAgents, memberData},
	}
}

// startAfter asks for the agents that were created after a time.
const startAfter = "startAfter"

// timeForm is how startAfter is written, and resolution the finest step that it can make.
const (
	timeForm   = "2006-01-02T15:04:05.000Z"
	resolution = time.Millisecond
)

// agentsPath is the path of an app's agents below the base URL, and of one of them, by a version of the API: v1 or v2.
// The versions differ in this and in the fields, which the schemas say; the agents and their uids are the same.
func agentsPath(app agent.AppID, version string, uid ...string) []string {
	path := []string{"api", version, "appuid", app.App, "agents"}
	if len(uid) > 0 {
		path = append(path, "uid")
	}
	return append(path, uid...)
}

// contextsPath is the path of what an app's agents refer to in contextUids. No path of v2 is known for them.
func contextsPath(app agent.AppID) []string {
	return []string{"api", "v1", "appuid", app.App, "contexts"}
}
