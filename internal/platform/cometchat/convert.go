package cometchat

import (
	"encoding/json"
	"errors"
	"fmt"

	"agentsync/internal/platform"
	"agentsync/schema"
)

// errNoAgent is why the outcome of a create is unknown although its status says that it was done.
var errNoAgent = errors.New("the answer holds no agent with a usable uid")

// errNotDone is an answer that says the opposite of its status.
var errNotDone = errors.New("the answer says that it was not done")

// listed returns the agents of a list, those that are soft-deleted left out.
func listed(s *schema.Platform, body []byte) ([]platform.Remote, error) {
	members, err := platform.DecodeList(body, memberData, memberAgents)
	if err != nil {
		return nil, err
	}
	list := make([]platform.Remote, 0, len(members))
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		if isDeleted(m[memberDeletedAt]) {
			continue
		}
		r, err := platform.NewRemote(s, m[memberUID], m[memberCreatedAt], m)
		if err != nil {
			return nil, err
		}
		if seen[r.UID] {
			return nil, fmt.Errorf("the list holds agent %s twice", r.UID)
		}
		seen[r.UID] = true
		list = append(list, r)
	}
	return list, nil
}

// isDeleted reports whether deletedAt holds a time; empty values stand for null.
func isDeleted(v any) bool {
	switch v {
	case nil, "", false, json.Number("0"):
		return false
	}
	return true
}

// answered returns the agent of an answer, wherever it is wrapped.
func answered(s *schema.Platform, body []byte) (platform.Remote, error) {
	v, err := platform.Decode(body)
	if err != nil {
		return platform.Remote{}, err
	}
	m := unwrap(v)
	if platform.UIDOf(m[memberUID]) == "" {
		return platform.Remote{}, errNoAgent
	}
	return platform.NewRemote(s, m[memberUID], m[memberCreatedAt], m)
}

// unwrap goes down {"data": {"agent": {...}}}, either of them, or none.
func unwrap(v any) map[string]any {
	m, _ := v.(map[string]any)
	for _, member := range []string{memberData, memberAgent} {
		if _, flat := m[memberUID]; flat {
			break
		}
		if inner, ok := m[member].(map[string]any); ok {
			m = inner
		}
	}
	return m
}

// acknowledged checks the answer to an update or a delete, which need not hold an agent. An empty body
// says no more than the status does.
func acknowledged(body []byte) (holdsAgent bool, err error) {
	if len(body) == 0 {
		return false, nil
	}
	v, err := platform.Decode(body)
	if err != nil {
		return false, err
	}
	m, ok := v.(map[string]any)
	if data, isMap := m[memberData].(map[string]any); isMap && m[memberSuccess] == nil {
		m = data
	}
	if !ok || m[memberSuccess] == false {
		return false, errNotDone
	}
	return platform.UIDOf(unwrap(v)[memberUID]) != "", nil
}
