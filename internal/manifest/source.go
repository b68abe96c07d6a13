package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"

	"agentsync/internal/diag"
)

// readFile returns the bytes of a manifest, or false after it added the problem that stops it.
func (l *loader) readFile(f found, problems *diag.List) ([]byte, bool) {
	whole := diag.Pos{File: f.display}
	b, err := readInside(f.root, f.path, l.limits.FileBytes)
	switch {
	case errors.Is(err, errTooLarge):
		problems.Errorf(whole, "the file is larger than %s; split it into several files", size(l.limits.FileBytes))
	case errors.Is(err, errNotRegular):
		problems.Errorf(whole, "this is not a regular file; a manifest is a YAML file")
	case err != nil:
		problems.Errorf(whole, "the file cannot be read: %s", cause(err))
	case l.total.Add(int64(len(b))) > l.limits.TotalBytes:
		problems.Errorf(whole, "the manifests hold more than %s together; split the fleet and run it in parts", size(l.limits.TotalBytes))
	default:
		return b, true
	}
	return nil, false
}

var (
	errTooLarge   = errors.New("the file is too large")
	errNotRegular = errors.New("this is not a regular file")
)

// readInside returns the bytes of the file at path in the folder root, at most limit. The system itself follows
// no link out of root here, whatever has been exchanged since the folder was searched.
func readInside(root, path string, limit int64) ([]byte, error) {
	folder, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	info, err := folder.Stat(path) // opening a named pipe would wait for its writer
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errNotRegular
	case info.Size() > limit:
		return nil, errTooLarge
	}
	file, err := folder.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// The size is not trusted: a file can grow, and some report none.
	b := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(file, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

// cause is an error's innermost text: the path in it is already in front of the sentence.
func cause(err error) string {
	if errors.Is(err, syscall.ELOOP) {
		return "its links lead in a circle"
	}
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil {
			return strings.Replace(err.Error(), "path escapes from parent", "its link leads out of the folder that is read", 1)
		}
		err = u.Unwrap()
	}
}

// byteOrderMarks begin files that are not UTF-8. UTF-32 comes first: its mark begins with UTF-16's.
var byteOrderMarks = []struct{ mark, name string }{
	{"\xff\xfe\x00\x00", "UTF-32"}, {"\x00\x00\xfe\xff", "UTF-32"},
	{"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"},
}

// checkEncoding refuses what is not UTF-8, and what looks like a text but is none.
func checkEncoding(path string, src []byte, problems *diag.List) bool {
	for _, m := range byteOrderMarks {
		if bytes.HasPrefix(src, []byte(m.mark)) {
			problems.Errorf(diag.Pos{File: path, Line: 1, Column: 1}, "the file is %s; save it as UTF-8", m.name)
			return false
		}
	}
	if i := bytes.IndexByte(src, 0); i >= 0 {
		what := "the file holds a NUL byte, so it is no text; save it as UTF-8 text"
		if i < 4 && len(src) >= 4 {
			what, i = "the file looks like UTF-16 or UTF-32; save it as UTF-8", 0
		}
		problems.Errorf(newLineIndex(src).pos(path, i), "%s", what)
		return false
	}
	if utf8.Valid(src) {
		return true
	}
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			problems.Errorf(newLineIndex(src).pos(path, i), "the byte %#02x is not valid UTF-8; save the file as UTF-8", src[i])
			return false
		}
		i += n
	}
	return true
}

// count writes a number with commas: 2,000,000.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes a number of bytes in the largest unit that divides it.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB"}
	for n >= 1024 && n%1024 == 0 && len(units) > 1 {
		n, units = n/1024, units[1:]
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", n, units[0]))
}
