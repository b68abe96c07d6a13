package httpx

import (
	"context"
	"net"
	"time"
)

// Every connection to a platform is closed hard: what its buffer still holds is thrown away and the peer gets a
// reset. Otherwise the kernel goes on sending a request that was given up, after the time limit and even after
// the end of this process, and delivers it when the network comes back: a POST would make an agent that nobody
// waits for any more.

// alive finds out that a peer is gone, within some 25 s, before a request is lost on an idle connection.
var alive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialHard connects. The connection is closed hard whoever closes it, the kernel among them.
func dialHard(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout, KeepAliveConfig: alive}).DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Now and not when it is closed: net/http closes in a goroutine of its own, and a killed process not at all.
		if err := tcp.SetLinger(0); err != nil {
			_ = tcp.Close()
			return nil, err
		}
	}
	return conn, err
}

// CloseHard closes a connection of a client's at once, TLS or not. What the kernel holds of it is not sent any more
// when it returns.
func CloseHard(conn net.Conn) {
	// Below TLS: tls.Conn.Close says good-bye first, and waits up to 5 s for room to say it.
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // where it fails the connection is closed already
	}
	_ = conn.Close()
}
