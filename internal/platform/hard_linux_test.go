package platform_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"agentsync/internal/platform"
)

// inNamespace is set where the test runs again, in a network of its own.
const inNamespace = "AGENTSYNC_TEST_NETWORK"

// The network goes away under a request, and comes back after it was given up: nothing of it may be left to deliver.
func TestTheNetworkGoesAwayUnderARequest(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		again.Env = append(os.Environ(), inNamespace+"=1")
		again.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := again.CombinedOutput()
		if _, ran := err.(*exec.ExitError); err != nil && !ran {
			t.Skipf("no network of its own to be had here: %v", err)
		}
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	loopback(t, true)
	p := newPeer(t)
	arrived := make(chan string, 10)
	var serving sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn // the reset of one is lost with the network
	t.Cleanup(func() {
		_ = p.Close()
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := p.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			serving.Go(func() {
				b := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(b)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					arrived <- req.Method
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				}
			})
		}
	})
	c := p.impatient(t, 300*time.Millisecond)
	if err := c.Do(t.Context(), platform.Request{Method: http.MethodGet}, nil); err != nil {
		t.Fatal(err)
	}
	<-arrived
	port := p.Addr().(*net.TCPAddr).Port
	if n := held(t, port); n == 0 {
		t.Fatal("no connection to be seen before")
	}
	loopback(t, false)
	if err := c.Do(t.Context(), changes[0], nil); platform.ClassOf(err) != platform.Unknown {
		t.Errorf("got %v", err)
	}
	// No socket, no retransmission: that is all there is to wait for.
	if n := held(t, port); n != 0 {
		t.Errorf("the kernel still holds %d connections to the platform", n)
	}
	loopback(t, true)
	if err := c.Do(t.Context(), platform.Request{Method: http.MethodGet}, nil); err != nil {
		t.Fatal(err)
	}
	if method := <-arrived; method != http.MethodGet {
		t.Errorf("%s was delivered when the network came back", method)
	}
}

// loopback switches the network on or off.
func loopback(t *testing.T, on bool) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	req := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{name: [16]byte{'l', 'o'}}
	if on {
		req.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS,
		uintptr(unsafe.Pointer(&req))); errno != 0 {
		t.Fatalf("loopback: %v", errno)
	}
}

// held returns how many sockets of this side the kernel holds that lead to port.
func held(t *testing.T, port int) int {
	t.Helper()
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	remote := fmt.Sprintf("0100007F:%s", strings.ToUpper(hex.EncodeToString([]byte{byte(port >> 8), byte(port)})))
	n := 0
	for _, line := range strings.Split(string(table), "\n") {
		if f := strings.Fields(line); len(f) > 3 && f[2] == remote && f[3] != "06" { // TIME_WAIT holds nothing
			n++
		}
	}
	return n
}
