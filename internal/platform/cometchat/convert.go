package cometchat

import (
	"encoding/json"
	"errors"
	"fmt"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/schema"
)

// errNotDone is an answer that says the opposite of its status.
var errNotDone = errors.New("the answer says that it was not done")

// listed returns the agents of a list, those that are soft-deleted left out.
func listed(s *schema.Platform, body []byte) ([]platform.Remote, error) {
	answer, err := platform.Decode(body)
	if err != nil {
		return nil, err
	}
	members, err := platform.ListIn(answer, memberData, memberAgents)
	if err != nil {
		return nil, err
	}
	if err := whole(answer, len(members)); err != nil {
		return nil, err
	}
	list := make([]platform.Remote, 0, len(members))
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		if isDeleted(m.Value(memberDeletedAt)) {
			continue
		}
		r, err := platform.NewRemote(s, m.Value(memberUID), m.Value(memberCreatedAt), m)
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

// whole fails where an answer says of itself that there is more than it shows, as other lists of this API do
// beside their data: {"meta": {"pagination": {"total", "count", "per_page", "current_page", "total_pages"}}}. The
// reference gives no pages to the list of agents, so there is no way to ask for the next one.
func whole(answer agent.Raw, shown int) error {
	envelope, _ := answer.Object()
	meta, _ := envelope.Get(memberMeta).Object()
	pages, _ := meta.Get(memberPagination).Object()
	number := func(name string) int64 {
		n, _ := pages.Value(name).(json.Number)
		i, _ := n.Int64() // what is no number says nothing
		return i
	}
	current, last, total := max(number("current_page"), 1), number("total_pages"), number("total")
	switch {
	case last > current:
		return fmt.Errorf("the list is cut short: the answer is page %d of %d", current, last)
	case last == 0 && total > int64(shown):
		return fmt.Errorf("the list is cut short: it shows %d agents of %d", shown, total)
	}
	return nil
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
	answer, err := platform.Decode(body)
	if err != nil {
		return platform.Remote{}, err
	}
	m := unwrap(answer)
	return platform.NewRemote(s, m.Value(memberUID), m.Value(memberCreatedAt), m)
}

// unwrap goes down {"data": {"agent": {...}}}, either of them, or none.
func unwrap(answer agent.Raw) agent.Object {
	m, _ := answer.Object()
	for _, member := range []string{memberData, memberAgent} {
		if m.Get(memberUID) != "" {
			break
		}
		if inner, ok := m.Get(member).Object(); ok {
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
	answer, err := platform.Decode(body)
	if err != nil {
		return false, err
	}
	m, ok := answer.Object()
	if data, isObject := m.Get(memberData).Object(); isObject && m.Get(memberSuccess).IsNull() {
		m = data
	}
	if !ok || m.Value(memberSuccess) == false {
		return false, errNotDone
	}
	return platform.UIDOf(unwrap(answer).Value(memberUID)) != "", nil
}
