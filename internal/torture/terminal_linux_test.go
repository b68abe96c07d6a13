package torture

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// terminal is a pseudo-terminal: its own end, and the end that a command believes to be a person's.
type terminal struct{ own, theirs *os.File }

// newTerminal opens a terminal of a number of columns.
func newTerminal(t *testing.T, columns uint16) *terminal {
	t.Helper()
	own, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there are no pseudo-terminals:", err)
	}
	var number, unlock uint32
	size := [4]uint16{25, columns}
	control(t, own, syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	control(t, own, syscall.TIOCGPTN, unsafe.Pointer(&number))
	control(t, own, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no pseudo-terminals:", err)
	}
	t.Cleanup(func() { _, _ = own.Close(), theirs.Close() }) // one of them may be closed already
	return &terminal{own: own, theirs: theirs}
}

func control(t *testing.T, f *os.File, request uintptr, value unsafe.Pointer) {
	t.Helper()
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, failed = syscall.Syscall(syscall.SYS_IOCTL, fd, request,
			uintptr(value))
	})
	if err != nil || failed != 0 {
		t.Fatal(err, failed)
	}
}

// run starts a command at the terminal. The one that reads its own end sees the end of the command.
func (m *terminal) run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = m.theirs, m.theirs, m.theirs
	cmd.Env = append(cmd.Env, "TERM=xterm")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := m.theirs.Close(); err != nil {
		t.Fatal(err)
	}
}

// readUntil reads what is shown until it holds a text, or to its end.
func (m *terminal) readUntil(t *testing.T, text string) (shown string) {
	t.Helper()
	b := make([]byte, 4096)
	for text == "" || !strings.Contains(shown, text) {
		n, err := m.own.Read(b)
		shown += string(b[:n])
		if err != nil { // EIO is the end: nobody has the other side open any more
			if !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			return shown
		}
	}
	return shown
}

// TestAppliedElsewhereWhileAPersonReads: while somebody reads the plan, another checkout applies the same manifests.
// Then the answer is yes.
func TestAppliedElsewhereWhileAPersonReads(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a"), coach("a"))
	m := newTerminal(t, 80)
	cmd := s.command(quick("apply")...)
	m.run(t, cmd)
	m.readUntil(t, "yes")
	other := newSiteAt(t, s.stranger)
	other.write(concierge("a"), coach("a"))
	other.apply(0)
	if _, err := m.own.WriteString("yes\n"); err != nil {
		t.Fatal(err)
	}
	out := m.readUntil(t, "")
	_ = cmd.Wait() // the exit code is looked at below
	if code := cmd.ProcessState.ExitCode(); code != 5 || !strings.Contains(out, "stopped being true") {
		t.Errorf("exit %d\n%s", code, out)
	}
	s.there("Concierge a", "Coach a")
	if n := s.asked("create"); n != 2 {
		t.Errorf("%d creates for two agents", n)
	}
	s.apply(0)
	s.whole("Concierge a", "Coach a")
}

// TestTerminalOfOneColumn: nothing fits, and nothing goes wrong.
func TestTerminalOfOneColumn(t *testing.T) {
	for _, columns := range []uint16{0, 1, 2, 5} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			s := newSite(t, manners{before: func(*query) bool {
				time.Sleep(300 * time.Millisecond) // a platform that takes its time: the line of the progress is drawn
				return false
			}})
			s.write(concierge("a"), coach("a"))
			m := newTerminal(t, columns)
			cmd := s.command(quick("apply", "--auto-approve")...)
			m.run(t, cmd)
			out := m.readUntil(t, "")
			_ = cmd.Wait() // the exit code is looked at below
			if code := cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit %d\n%s", code, out)
			}
			s.whole("Concierge a", "Coach a")
		})
	}
}

// TestJSONAsksNothing: with --format json nobody saw a plan that could be approved.
func TestJSONAsksNothing(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a"))
	m := newTerminal(t, 80)
	cmd := s.command(quick("apply", "--format", "json")...)
	m.run(t, cmd)
	if _, err := m.own.WriteString("yes\n"); err != nil {
		t.Fatal(err)
	}
	out := m.readUntil(t, "")
	_ = cmd.Wait() // the exit code is looked at below
	if code := cmd.ProcessState.ExitCode(); code != 4 || !strings.Contains(out, "--auto-approve") {
		t.Errorf("exit %d\n%s", code, out)
	}
	s.there()
}
