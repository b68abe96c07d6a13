package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// ErrInUse is wrapped by New where another server holds the file.
var ErrInUse = errors.New("the sandbox file is in use by another process")

// fileHead is the first line of a file, by which it is known.
const fileHead = `{"agentsyncSandbox":1}` + "\n"

// record is one line of the file: an agent as it became, or a uid that is gone for good.
type record struct {
	Platform string         `json:"platform"`
	App      string         `json:"app"`
	UID      string         `json:"uid"`
	Version  string         `json:"version"` // of the API that made it
	Fields   map[string]any `json:"fields"`
	Created  time.Time      `json:"createdAt"`
	Updated  time.Time      `json:"updatedAt"`
	Deleted  time.Time      `json:"deletedAt"`
	Gone     bool           `json:"gone"`
}

// line is the record as it stands in the file.
func (r record) line() []byte {
	b := appendString(append(make([]byte, 0, 512), `{"platform":`...), r.Platform)
	b = appendString(append(b, `,"app":`...), r.App)
	b = appendString(append(b, `,"uid":`...), r.UID)
	if r.Version != "" {
		b = appendString(append(b, `,"version":`...), r.Version)
	}
	if r.Gone {
		return append(b, `,"gone":true}`+"\n"...)
	}
	b = appendJSON(append(b, `,"fields":`...), r.Fields)
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"createdAt", r.Created}, {"updatedAt", r.Updated}, {"deletedAt", r.Deleted}} {
		if !t.at.IsZero() {
			b = t.at.AppendFormat(append(b, `,"`+t.name+`":"`...), time.RFC3339Nano)
			b = append(b, '"')
		}
	}
	return append(b, "}\n"...)
}

// oplog appends what happens to a file: one write a change, whatever the number of agents. A process
// that is killed loses nothing that was appended. A nil *oplog keeps nothing.
type oplog struct {
	path string
	lock *flock.Flock

	lines int // read when the file was opened

	mu   sync.Mutex // guards file
	file *os.File
}

// openLog locks the file at path and replays it into visit.
func openLog(path string, visit func(record)) (*oplog, error) {
	// Git stores links: whoever opens a pull request chooses what stands at these names.
	for _, name := range []string{filepath.Dir(path), path, path + ".lock"} {
		if info, err := os.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 && !filepath.IsAbs(name) {
			return nil, fmt.Errorf("%s is a symbolic link, and nothing is written through a link", name)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("sandbox file: %w", err)
	}
	l := &oplog{path: path, lock: flock.New(path+".lock", flock.SetPermissions(0o600))}
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
func (l *oplog) replay(visit func(record)) (err error) {
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
		if err := l.line(n, line, visit); err != nil {
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

func (l *oplog) line(n int, line []byte, visit func(record)) error {
	if n == 1 {
		if string(line) != fileHead {
			return fmt.Errorf("%s is no sandbox file: name another one, or move it away to start with an empty sandbox", l.path)
		}
		return nil
	}
	var rec record
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if err := dec.Decode(&rec); err != nil || !slices.Contains(Platforms(), rec.Platform) || rec.App == "" || rec.UID == "" {
		return fmt.Errorf("%s:%d: the line is damaged: delete the line to lose that one change, or move the file away to start with an empty sandbox", l.path, n)
	}
	l.lines++
	visit(rec)
	return nil
}

// put appends one record, before it is answered.
func (l *oplog) put(rec record) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.append(rec.line())
}

func (l *oplog) append(b []byte) error {
	if l.file == nil {
		return fmt.Errorf("write sandbox file: %w", os.ErrClosed)
	}
	if _, err := l.file.Write(b); err != nil {
		return fmt.Errorf("write sandbox file: %w", err)
	}
	return nil
}

// rewrite replaces the file, at once, by one that holds records alone.
func (l *oplog) rewrite(records []record) error {
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
		_, _ = w.Write(rec.line())
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

// wasteful reports whether most lines of the file, as it was opened, say nothing of these many agents.
func (l *oplog) wasteful(agents int) bool {
	if l == nil {
		return false
	}
	return l.lines > 2*agents+100
}

// close gives the file back. It may be called more than once.
func (l *oplog) close() error {
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
