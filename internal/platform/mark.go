package platform

import (
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/schema"
)

// A mark stands in the field that the schema says can carry it (schema.Field.Marker): in an object as
// the member agentsync, in a list as the element agentsync:MARK. What only looks like one, because
// it is not of the form that agent.IsMark wants, is the user's own.
const markPrefix = agent.MarkName + ":"

// AddMark returns a copy of fields, of a create or of an update that sends the field whole, in which
// the agent carries the mark. Where there is no mark to carry it returns fields.
func AddMark(s *schema.Platform, fields agent.Fields, mark string) agent.Fields {
	f, ok := s.Marker()
	if !ok || mark == "" {
		return fields
	}
	fields = maps.Clone(fields)
	switch f.Type {
	case "object":
		old, _ := fields[f.Name].(map[string]any)
		marked := make(map[string]any, len(old)+1)
		maps.Copy(marked, old)
		marked[agent.MarkName] = mark
		fields[f.Name] = marked
	case "array":
		old, _ := fields[f.Name].([]any)
		fields[f.Name] = append(slices.Clone(old), markPrefix+mark)
	}
	return fields
}

// TakeMark returns what a platform answered without the mark in it, and the mark, empty for none. It
// takes over what fields holds. Where there are several, which only somebody else can have brought
// about, none is left and the first counts.
func TakeMark(s *schema.Platform, fields agent.Fields) (rest agent.Fields, mark string) {
	f, ok := s.Marker()
	if !ok {
		return fields, ""
	}
	switch v := fields[f.Name].(type) {
	case map[string]any:
		if m, _ := v[agent.MarkName].(string); agent.IsMark(m) {
			delete(v, agent.MarkName)
			mark = m
		}
	case []any:
		fields[f.Name] = slices.DeleteFunc(v, func(e any) bool {
			s, _ := e.(string)
			m, found := strings.CutPrefix(s, markPrefix)
			if !found || !agent.IsMark(m) {
				return false
			}
			if mark == "" {
				mark = m
			}
			return true
		})
	}
	return fields, mark
}
