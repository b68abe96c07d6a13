package manifest

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
)

// checkMark refuses, where the section asks for marks, what leaves no room for one or takes its name;
// and always what would be taken for a mark when the platform answers it.
func (f *file) checkMark(part *sectionPart, node *yaml.Node, merged map[string]any) {
	field, ok := part.rules.Marker()
	if !ok {
		return
	}
	on, at := part.marker(), "/"+agent.EscapePointer(field.Name)
	reserved := func(value string) bool { return on || agent.IsMark(value) }
	switch v := merged[field.Name].(type) {
	case map[string]any:
		mine, there := v[agent.MarkName]
		value, _ := plain(mine).(string)
		if there && reserved(value) {
			f.errorf(f.inAgentOrDefaults(part, node, at+"/"+agent.MarkName),
				"%s.%s is where agentsync leaves its mark; give it another name", field.Name, agent.MarkName)
		}
	case []any:
		for i, e := range v {
			s, _ := plain(e).(string)
			if value, found := strings.CutPrefix(s, agent.MarkName+":"); found && reserved(value) {
				f.errorf(f.inAgentOrDefaults(part, node, at+"/"+strconv.Itoa(i)),
					"%s[%d] begins with %s:, as agentsync's own mark does; give it another name", field.Name, i, agent.MarkName)
			}
		}
		if on && field.MaxItems > 0 && len(v) == field.MaxItems {
			f.errorf(f.inAgentOrDefaults(part, node, at),
				"%s holds %d items, and with marker: true the most is %d: the mark is one more", field.Name, len(v), field.MaxItems-1)
		}
	}
}

// inAgentOrDefaults returns the value that the pointer leads to: in the agent as it is written, else in
// the defaults of its section.
func (f *file) inAgentOrDefaults(part *sectionPart, node *yaml.Node, at string) *yaml.Node {
	p := f.locate(node, at)
	if !p.found && part.defaultsNode != nil {
		p = f.locate(part.defaultsNode, at)
	}
	return p.value
}
