package mindset

import (
	"agentsync/internal/platform"
	"agentsync/schema"
)

// listed returns the agents of one page.
func listed(s *schema.Platform, body []byte) ([]platform.Remote, error) {
	members, err := platform.DecodeList(body, memberAgents, memberData)
	if err != nil {
		return nil, err
	}
	page := make([]platform.Remote, len(members))
	for i, m := range members {
		if page[i], err = platform.NewRemote(s, m.Value(memberUID), m.Value(memberCreatedAt), m); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// answered returns the agent of an answer: flat, or wrapped as other platforms do.
func answered(s *schema.Platform, body []byte) (platform.Remote, error) {
	answer, err := platform.Decode(body)
	if err != nil {
		return platform.Remote{}, err
	}
	m, _ := answer.Object()
	for _, member := range []string{memberData, memberAgent} {
		if inner, ok := m.Get(member).Object(); ok && m.Get(memberUID).IsNull() {
			m = inner
		}
	}
	return platform.NewRemote(s, m.Value(memberUID), m.Value(memberCreatedAt), m)
}
