package mindset

import (
	"errors"
	"fmt"
	"net/http"

	"agentsync/internal/platform"
)

// listedAgents returns the agents of one page. The platform may write an empty list as null.
func listedAgents(shape platform.Shape, a platform.Answer) ([]platform.Remote, error) {
	if isEmptyList(shape, a) {
		return nil, nil
	}
	answer, err := a.JSON()
	if err != nil {
		return nil, err
	}
	elements, err := shape.Elements(answer)
	if err != nil {
		return nil, err
	}
	return shape.Listed(elements, nil)
}

// isEmptyList reports whether an answer is a list without anything in it: [], {"agents": []} or {"agents": null}. By
// one of status 404 the platform says that a list, or a page of it, ends here.
func isEmptyList(shape platform.Shape, a platform.Answer) bool {
	answer, err := a.JSON()
	if err != nil {
		return false
	}
	if envelope, isObject := answer.Object(); isObject {
		if a.NotDone() != nil || envelope.Get(memberAgents).Is("null") {
			return a.NotDone() == nil
		}
	}
	elements, err := shape.Elements(answer)
	return err == nil && len(elements) == 0
}

// checkDeleted fails where the answer to a delete does not say that it was done. The reference gives it no body; the
// agent and {"success": true} say the same.
func checkDeleted(shape platform.Shape, a platform.Answer) error {
	if a.IsEmpty() || a.Status == http.StatusNoContent {
		return nil
	}
	if err := a.NotDone(); err != nil {
		return err
	}
	answer, _ := a.JSON()
	m, isObject := answer.Object()
	if isObject && (m.Value(memberSuccess) == true || shape.HasAgent(a)) {
		return nil
	}
	return errors.New("the answer does not say that the agent was deleted")
}

// answeredAgent reads the answer to a read or an update of the agent called uid. Half an answer that names it says
// nothing: it was there before.
func answeredAgent(shape platform.Shape, a platform.Answer, uid string) (platform.Remote, error) {
	if err := a.NotDone(); err != nil && !shape.HasAgent(a) {
		return platform.Remote{}, err
	}
	r, err := shape.Agent(a)
	if err == nil && r.UID != uid {
		err = fmt.Errorf("the answer is about another agent: %s", r.UID)
	}
	return r, err
}

// contextsIn returns the contexts of one page, and notes their names. The member that holds them is not documented: it
// is the one that is a list.
func contextsIn(a platform.Answer, names map[string]string) ([]platform.Remote, error) {
	answer, err := a.JSON()
	if err != nil {
		return nil, err
	}
	list, ok := answer.List()
	if envelope, isObject := answer.Object(); isObject {
		for _, m := range envelope {
			if inner, isList := m.Value.List(); isList {
				list, ok = inner, true
			}
		}
	}
	if !ok {
		return nil, errors.New("the answer is no list of contexts")
	}
	var page []platform.Remote
	for _, e := range list {
		m, _ := e.Object()
		uid := platform.UIDOf(m.Value(memberUID))
		if uid == "" {
			return nil, errors.New("the list holds a context without a usable uid")
		}
		names[uid], _ = m.Value("name").(string)
		page = append(page, platform.Remote{UID: uid, CreatedAt: platform.ParseTime(m.Value(memberCreatedAt))})
	}
	return page, nil
}

// isEmptyContexts reports whether an answer is a list of contexts without anything in it.
func isEmptyContexts(a platform.Answer) bool {
	page, err := contextsIn(a, map[string]string{})
	return err == nil && len(page) == 0 && a.NotDone() == nil
}
