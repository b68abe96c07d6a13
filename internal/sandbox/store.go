package sandbox

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"agentsync/internal/sandbox/wire"
)

// appKey names one app on one platform.
type appKey struct{ platform, app string }

func (k appKey) compare(o appKey) int {
	return cmp.Or(cmp.Compare(k.platform, o.platform), cmp.Compare(k.app, o.app))
}

// agent is one agent as the platform keeps it. Its app's mutex guards it; the map in fields is
// replaced, never changed in place.
type agent struct {
	uid     string
	fields  map[string]any
	version string // of the API that made it
	created time.Time
	updated time.Time
	deleted time.Time // zero while it lives
	gone    bool      // deleted where nothing is kept of it

	lag  listLag
	docs map[string][]byte // as each version answers it; made when it is asked for
}

// listLag is what lists show in an agent's place for a while after a change.
type listLag struct {
	until  time.Time
	lists  int    // up to this list of the app
	before *agent // as it was; nil where it was not there
}

// app is the agents of one app. Requests of different apps do not wait for each other.
type app struct {
	key appKey

	mu     sync.Mutex // guards the rest
	agents []*agent   // by created, then by order of arrival; those that are gone stay until a sweep
	byUID  map[string]*agent
	dead   int // how many of agents are gone
	lists  int // lists answered so far
}

// store is all apps, and the file that they are kept in.
type store struct {
	log *storeLog // nil where there is no file

	mu   sync.RWMutex // guards apps, not what is in them
	apps map[appKey]*app
}

func newStore() *store { return &store{apps: map[appKey]*app{}} }

// app returns the app called key, new where there is none.
func (s *store) app(key appKey) *app {
	if a := s.peek(key); a != nil {
		return a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[key]
	if a == nil {
		a = &app{key: key, byUID: map[string]*agent{}}
		s.apps[key] = a
	}
	return a
}

// peek returns the app called key, or nil: a look must not make an app.
func (s *store) peek(key appKey) *app {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.apps[key]
}

// find returns a live agent with its app locked, and the function that unlocks it; nil where there is none.
func (s *store) find(key appKey, uid string) (*agent, func()) {
	a := s.peek(key)
	if a == nil {
		return nil, nil
	}
	a.mu.Lock()
	if g := a.liveAgent(uid); g != nil {
		return g, a.mu.Unlock
	}
	a.mu.Unlock()
	return nil, nil
}

// all returns the apps in the order of their keys.
func (s *store) all() []*app {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.apps), func(a, b *app) int { return a.key.compare(b.key) })
}

// reset forgets everything, in the file too.
func (s *store) reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.log.rewrite(nil); err != nil {
		return err
	}
	s.apps = map[appKey]*app{}
	return nil
}

// insert puts g at its place by creation. Clocks that stand still or go back are allowed.
func (a *app) insert(g *agent) {
	i := len(a.agents)
	if i > 0 && g.created.Before(a.agents[i-1].created) {
		i = a.firstAfter(g.created)
	}
	a.agents = slices.Insert(a.agents, i, g)
	a.byUID[g.uid] = g
}

// firstAfter returns where the agents begin that were created later than t; 0 for the zero time.
func (a *app) firstAfter(t time.Time) int {
	i, _ := slices.BinarySearchFunc(a.agents, t, func(g *agent, t time.Time) int {
		if g.created.After(t) {
			return 1
		}
		return -1
	})
	return i
}

// liveAgent returns the agent with this uid unless it is deleted.
func (a *app) liveAgent(uid string) *agent {
	if g := a.byUID[uid]; g != nil && g.deleted.IsZero() {
		return g
	}
	return nil
}

// remove takes g out for good. The list is swept only now and then, so that deleting costs the same
// in an app of any size.
func (a *app) remove(g *agent) {
	g.gone = true
	delete(a.byUID, g.uid)
	if a.dead++; a.dead > 64 && a.dead > len(a.agents)/2 {
		now := time.Now()
		a.agents = slices.DeleteFunc(a.agents, func(g *agent) bool { return g.gone && !g.lag.stillHides(a, now) })
		a.dead = 0
	}
}

// stillHides reports whether lists that are answered now still show what was before the change.
func (l listLag) stillHides(a *app, now time.Time) bool {
	return l.lists > 0 && a.lists <= l.lists || now.Before(l.until)
}

// shownInList returns g as a list shows it now; nil where it does not.
func (a *app) shownInList(g *agent, now time.Time, withDeleted bool) *agent {
	if g.lag.stillHides(a, now) {
		g = g.lag.before
	}
	if g == nil || g.gone || !g.deleted.IsZero() && !withDeleted {
		return nil
	}
	return g
}

// recordOf is the agent as the file keeps it.
func (a *app) recordOf(g *agent) storeRecord {
	if g.gone {
		return storeRecord{Platform: a.key.platform, App: a.key.app, UID: g.uid, Gone: true}
	}
	return storeRecord{
		Platform: a.key.platform, App: a.key.app, UID: g.uid, Version: g.version, Fields: g.fields,
		Created: g.created, Updated: g.updated, Deleted: g.deleted,
	}
}

// restore takes one line of the file in. Nobody else uses the store yet.
func (s *store) restore(rec storeRecord) {
	a := s.app(appKey{rec.Platform, rec.App})
	g := a.byUID[rec.UID]
	switch {
	case rec.Gone && g != nil:
		a.remove(g)
		return
	case rec.Gone:
		return
	case g == nil:
		g = &agent{uid: rec.UID, version: rec.Version, created: rec.Created}
		a.insert(g)
	}
	g.fields, g.updated, g.deleted = rec.Fields, rec.Updated, rec.Deleted
	if g.fields == nil {
		g.fields = map[string]any{}
	}
}

// compact rewrites the file where most of it no longer matters. It runs before the first request: a
// change that came in between would be lost.
func (s *store) compact() error {
	var records []storeRecord
	for _, a := range s.all() {
		for _, g := range a.agents {
			if !g.gone {
				records = append(records, a.recordOf(g))
			}
		}
	}
	if !s.log.isWasteful(len(records)) {
		return nil
	}
	return s.log.rewrite(records)
}

// ErrInUse is wrapped by New where another server holds the file.
var ErrInUse = errors.New("the sandbox file is in use by another process")

// fileHead is the first line of a file, by which it is known.
const fileHead = `{"agentsyncSandbox":1}` + "\n"

// storeRecord is one line of the file: an agent as it became, or a uid that is gone for good.
type storeRecord struct {
	Platform string         `json:"platform"`
	App      string         `json:"app"`
	UID      string         `json:"uid"`
	Version  string         `json:"version,omitempty"` // of the API that made it
	Fields   map[string]any `json:"fields,omitempty"`
	Created  time.Time      `json:"createdAt,omitzero"`
	Updated  time.Time      `json:"updatedAt,omitzero"`
	Deleted  time.Time      `json:"deletedAt,omitzero"`
	Gone     bool           `json:"gone,omitempty"`
}

// fileLine is the record as it stands in the file.
func (r storeRecord) fileLine() []byte { return append(wire.Encode(r), '\n') }

// storeLog appends what happens to a file: one write a change, whatever the number of agents. A process
// that is killed loses nothing that was appended. A nil *oplog keeps nothing.
type storeLog struct {
	path string
	lock *flock.Flock

	lines int // read when the file was opened

	mu   sync.Mutex // guards file
	file *os.File
}

// openLog locks the file at path and replays it into visit.
func openLog(path string, visit func(storeRecord)) (*storeLog, error) {
	// Git stores links: whoever opens a pull request chooses what stands at these names.
	for _, name := range []string{filepath.Dir(path), path, path + ".lock"} {
		if info, err := os.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 && !filepath.IsAbs(name) {
			return nil, fmt.Errorf("%s is a symbolic link, and nothing is written through a link", name)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("sandbox file: %w", err)
	}
	l := &storeLog{path: path, lock: flock.New(path+".lock", flock.SetPermissions(0o600))}
	if ok, err := l.lock.TryLock(); err != nil {
		return nil, fmt.Errorf("lock sandbox file: %w", err)
	} else if !ok {
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	err := l.replay(visit)
	if err != nil {
		_ = l.lock.Close()
		return nil, err
	}
	return l, nil
}

// replay reads the file and leaves it open for appending, without the torn line that a crash of the
// machine may have left at its end.
func (l *storeLog) replay(visit func(storeRecord)) (err error) {
	if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("open sandbox file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = l.file.Close()
		}
	}()
	r, end := bufio.NewReaderSize(l.file, 1<<16), int64(0)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("read sandbox file: %w", err)
		}
		if err := l.readLine(n, line, visit); err != nil {
			return err
		}
		end += int64(len(line))
	}
	if err := l.file.Truncate(end); err != nil {
		return fmt.Errorf("cut torn line off sandbox file: %w", err)
	}
	if _, err := l.file.Seek(end, io.SeekStart); err != nil {
		return fmt.Errorf("open sandbox file: %w", err)
	}
	if end == 0 {
		return l.append([]byte(fileHead))
	}
	return nil
}

func (l *storeLog) readLine(n int, line []byte, visit func(storeRecord)) error {
	if n == 1 {
		if string(line) != fileHead {
			return fmt.Errorf("%s is no sandbox file: name another one, or move it away to start with an empty sandbox",
				l.path)
		}
		return nil
	}
	var rec storeRecord
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if err := dec.Decode(&rec); err != nil || !slices.Contains(Platforms(), rec.Platform) || rec.App == "" ||
		rec.UID == "" {
		return fmt.Errorf("%s:%d: the line is damaged: delete the line to lose that one change, or move the file away to "+
			"start with an empty sandbox", l.path, n)
	}
	l.lines++
	visit(rec)
	return nil
}

// appendRecord appends one record, before it is answered.
func (l *storeLog) appendRecord(rec storeRecord) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.append(rec.fileLine())
}

func (l *storeLog) append(b []byte) error {
	if l.file == nil {
		return fmt.Errorf("write sandbox file: %w", os.ErrClosed)
	}
	if _, err := l.file.Write(b); err != nil {
		return fmt.Errorf("write sandbox file: %w", err)
	}
	return nil
}

// rewrite replaces the file, at once, by one that holds records alone.
func (l *storeLog) rewrite(records []storeRecord) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next, err := os.CreateTemp(filepath.Dir(l.path), ".sandbox-*") // 0600, and a name that nobody can have made before
	if err != nil {
		return fmt.Errorf("rewrite sandbox file: %w", err)
	}
	w := bufio.NewWriterSize(next, 1<<16)
	_, _ = w.WriteString(fileHead) // Flush repeats the error
	for _, rec := range records {
		_, _ = w.Write(rec.fileLine())
	}
	if err = w.Flush(); err == nil {
		err = os.Rename(next.Name(), l.path)
	}
	if err != nil {
		return fmt.Errorf("rewrite sandbox file: %w", errors.Join(err, next.Close()))
	}
	if l.file == nil {
		return errors.Join(fmt.Errorf("rewrite sandbox file: %w", os.ErrClosed), next.Close())
	}
	_ = l.file.Close() // the old file, whose content is in the new one
	l.file = next
	return nil
}

// isWasteful reports whether most lines of the file, as it was opened, say nothing of these many agents.
func (l *storeLog) isWasteful(agents int) bool {
	if l == nil {
		return false
	}
	return l.lines > 2*agents+100
}

// close gives the file back. It may be called more than once.
func (l *storeLog) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.file.Close(), l.lock.Close())
	l.file = nil
	return err
}
