package cometchat

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
)

// listedAgents returns the agents of a list, those that are soft-deleted left out.
func listedAgents(shape platform.Shape, a platform.Answer) ([]platform.Remote, error) {
	elements, err := elementsOf(shape, a)
	if err != nil {
		return nil, err
	}
	return shape.Listed(elements, func(o agent.Object) bool { return isDeleted(o.Value(memberDeletedAt)) })
}

// elementsOf returns what a list holds.
func elementsOf(shape platform.Shape, a platform.Answer) ([]agent.Raw, error) {
	answer, err := a.JSON()
	if err != nil {
		return nil, err
	}
	elements, err := shape.Elements(answer)
	if err != nil {
		return nil, err
	}
	return elements, checkWhole(answer, len(elements))
}

// checkWhole fails where an answer says of itself that there is more than it shows, as other lists of this API do
// beside their data: {"meta": {"pagination": {"total", "count", "per_page", "current_page", "total_pages"}}}. The
// reference gives no pages to the list of agents, so there is no way to ask for the next one.
func checkWhole(answer agent.Raw, shown int) error {
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

// checkDone fails where the answer to an update or a delete does not say that it was done: by {"success": true},
// wrapped or not, by status 204, or by the agent itself. A 200 alone says nothing, for proxies answer it too.
func checkDone(shape platform.Shape, a platform.Answer) error {
	if a.Status == http.StatusNoContent {
		return nil
	}
	if err := a.NotDone(); err != nil {
		return err
	}
	answer, _ := a.JSON()
	m, _ := answer.Object()
	data, _ := m.Get(memberData).Object()
	if m.Value(memberSuccess) == true || data.Value(memberSuccess) == true || shape.HasAgent(a) {
		return nil
	}
	return errors.New(`the answer says neither {"success": true} nor what the agent is now`)
}

// toolsIn returns the tools and actions of a list, wrapped as that of the agents may be. An entry without a name or a
// type is neither.
func toolsIn(shape platform.Shape, a platform.Answer) ([]platform.Reference, error) {
	elements, err := elementsOf(shape, a)
	if err != nil {
		return nil, err
	}
	var known []platform.Reference
	for _, e := range elements {
		m, _ := e.Object()
		name, _ := m.Value("name").(string)
		kind, _ := m.Value("type").(string)
		display, _ := m.Value("displayName").(string)
		if name != "" && kind != "" {
			known = append(known, platform.Reference{Kind: kind, Name: name, DisplayName: display})
		}
	}
	return known, nil
}
