package httpx

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func newTransport(o Options) *http.Transport {
	conf := &tls.Config{}
	if o.TLS != nil {
		conf = o.TLS.Clone()
	}
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	n := cmp.Or(o.Concurrency, DefaultConcurrency)
	return &http.Transport{
		Proxy:                  o.Proxy,
		OnProxyConnectResponse: proxyAnswered,
		DialContext:            dialHard,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    dialTimeout,
		// No HTTP/2: to give up one request there, its connection must be closed (a reset of the stream alone leaves
		// the request in the kernel's buffer), and with it all others that are in flight on it, whose outcome would
		// then be unknown too. Over HTTP/1 each request has its connection to itself.
		Protocols:           onlyHTTP1(),
		MaxIdleConns:        n,
		MaxIdleConnsPerHost: n,
		MaxConnsPerHost:     n, // a request waits for one that is about to be free rather than open another
		IdleConnTimeout:     idleTimeout,
	}
}

func onlyHTTP1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

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

// CheckProxy returns an error for a proxy of the environment that cannot be read. http.ProxyFromEnvironment takes no
// notice of such a one and connects directly, past the proxy that was asked for. The error shows no value, which may
// hold a password.
func CheckProxy(env func(name string) string) error {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		v := env(name)
		if v == "" || usableProxy(v) || !strings.Contains(v, "://") && usableProxy("http://"+v) {
			continue
		}
		return fmt.Errorf("the environment variable %s names no proxy that can be used: write http://HOST:PORT", name)
	}
	return nil
}

// usableProxy reports whether http.ProxyFromEnvironment takes v as it stands.
func usableProxy(v string) bool {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || strings.ContainsAny(u.Host, " \t") {
		return false
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return true
	}
	return false
}

// proxyAnswered makes an error of a proxy's refusal to connect, which net/http reports by the words of its status
// alone: "Forbidden", as if the platform had said it.
func proxyAnswered(_ context.Context, proxy *url.URL, connect *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("the proxy %s refused to connect to %s: %s", proxy.Host, connect.Host, answer.Status)
}
