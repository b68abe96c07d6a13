package state

import (
	"unicode/utf8"

	"agentsync/internal/agent"
)

// Decode reads a state file's content; name stands in errors. Every error is a *FormatError.
// Nothing is passed over: a member that version 1 does not have is refused, because it would be gone
// after the next write.
func Decode(name string, b []byte) (*State, error) {
	d := decoder{scanner: scanner{b: b}, arena: make([]byte, 0, len(b))}
	s, err := d.state()
	if err == nil && !utf8.Valid(b) {
		err = d.fail(invalidUTF8(b), "the text is not UTF-8")
	}
	if err != nil {
		return nil, diagnose(name, b, err)
	}
	return s, nil
}

// decoder reads a state in one pass. Documents are cut from one arena: there are two per agent.
type decoder struct {
	scanner
	arena []byte
}

func (d *decoder) state() (*State, error) {
	s := &State{Agents: make(map[agent.Address]agent.Record, len(d.b)/1024)}
	var version uint64
	var seen members
	err := d.object(func(name string, at int) (err error) {
		if err := seen.add(&d.scanner, name, at); err != nil {
			return err
		}
		switch name {
		case "version":
			if version, err = d.uint(); err == nil && version != Version {
				err = d.fail(at, "the version is %d, and only %d is known", version, Version)
			}
		case "serial":
			s.Serial, err = d.uint()
		case "lineage":
			s.Lineage, err = d.text()
		case "apps":
			err = d.apps(s)
		case "agents":
			err = d.agents(s)
		default:
			err = d.fail(at, "%q is not part of a state file of version %d", name, Version)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if d.peek(); d.pos < len(d.b) {
		return nil, d.unexpected("the end of the file")
	}
	for _, name := range [...]string{"version", "serial", "lineage", "agents"} {
		if !seen.has(name) {
			return nil, d.fail(0, "%q is missing", name)
		}
	}
	if s.Lineage == "" {
		return nil, d.fail(0, "the lineage is empty")
	}
	return s, nil
}

func (d *decoder) apps(s *State) error {
	s.Apps = map[agent.AppID]agent.Origin{}
	return d.object(func(name string, at int) error {
		app, err := agent.ParseAppID(name)
		if err != nil {
			return d.fail(at, "%v", err)
		}
		if _, twice := s.Apps[app]; twice {
			return d.fail(at, "%s stands twice", app)
		}
		s.Apps[app], err = d.origin()
		return err
	})
}

func (d *decoder) origin() (o agent.Origin, err error) {
	var seen members
	err = d.object(func(name string, at int) (err error) {
		if err := seen.add(&d.scanner, name, at); err != nil {
			return err
		}
		switch name {
		case "baseUrl":
			o.BaseURL, err = d.text()
		case "keyEnv":
			o.KeyEnv, err = d.text()
		default:
			err = d.fail(at, "%q is not part of an app in a state file of version %d", name, Version)
		}
		return err
	})
	return o, err
}

func (d *decoder) agents(s *State) error {
	owner := make(map[handle]agent.Address, len(d.b)/1024)
	return d.object(func(name string, at int) error {
		a, err := agent.ParseAddress(name)
		if err != nil {
			return d.fail(at, "%v", err)
		}
		if _, twice := s.Agents[a]; twice {
			return d.fail(at, "%s stands twice", a)
		}
		r, err := d.record()
		if err != nil {
			return err
		}
		for _, h := range handles(a, r) {
			if err := own(owner, h, a); err != nil {
				return d.fail(at, "%v", err)
			}
		}
		s.Agents[a] = r
		return nil
	})
}

func (d *decoder) record() (r agent.Record, err error) {
	var seen members
	err = d.object(func(name string, at int) (err error) {
		if err := seen.add(&d.scanner, name, at); err != nil {
			return err
		}
		switch name {
		case "uid":
			r.UID, err = d.text()
		case "applied":
			r.Applied, err = d.document()
		case "observed":
			r.Observed, err = d.document()
		case "obsolete":
			r.Obsolete, err = d.texts()
		case "formerKeys":
			r.FormerKeys, err = d.texts()
			for _, key := range r.FormerKeys {
				if err == nil && !agent.ValidKey(key) {
					err = d.fail(at, "%q is no key", key)
				}
			}
		case "api":
			r.API, err = d.text()
		case "mark":
			r.Mark, err = d.text()
		case "protect":
			r.Protect, err = d.boolean()
		default:
			err = d.fail(at, "%q is not part of an agent in a state file of version %d", name, Version)
		}
		return err
	})
	return r, err
}

// texts reads a list of strings.
func (d *decoder) texts() (values []string, err error) {
	err = d.list('[', ']', func() error {
		v, err := d.text()
		values = append(values, v)
		return err
	})
	return values, err
}

func (d *decoder) document() (agent.Doc, error) {
	start := len(d.arena)
	var err error
	d.arena, err = d.doc(d.arena)
	end := len(d.arena)
	return agent.Doc(d.arena[start:end:end]), err
}

// members are the names seen in one object, a handful.
type members []string

func (m *members) add(s *scanner, name string, at int) error {
	if m.has(name) {
		return s.fail(at, "%q stands twice", name)
	}
	*m = append(*m, name)
	return nil
}

func (m members) has(name string) bool {
	for _, n := range m {
		if n == name {
			return true
		}
	}
	return false
}

func invalidUTF8(b []byte) int {
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		i += n
	}
	return i
}
