package httpx

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

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
