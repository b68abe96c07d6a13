// Package endpoint checks base URLs that replace a platform's own. It is the one place that decides where an API
// key may be sent, wherever the URL comes from: a manifest, a variable, a flag. It asks nobody and sends nothing.
package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Parse reads a base URL that replaces a platform's own; {app} in it stands for the app's id. The URL that it
// returns has an ASCII host in lower case and no slash at its end, so two endpoints are the same exactly where their
// texts are. The error says what is wrong as the rest of a sentence that begins with "the endpoint".
func Parse(raw, app string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(strings.ReplaceAll(raw, "{app}", app), "/"))
	if err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("is not a URL; write one like https://gateway.example.com/v3")
	}
	switch host := u.Hostname(); {
	case u.User != nil:
		return nil, errors.New("holds a user name or password; credentials belong into the variable that apiKeyEnv names")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("holds a query; leave out what follows the ?")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, errors.New("holds a fragment; leave out what follows the #")
	case !isASCII(host):
		// Letters of other scripts look like Latin ones: a reviewer must see the name that is asked for.
		return nil, fmt.Errorf("holds a host that is not in plain ASCII; if it is the one you mean, write it as %s",
			asciiHost(host))
	case strings.ContainsFunc(host, func(r rune) bool { return !isHostLetter(r) }):
		return nil, errors.New("holds a host with characters that no host name has; write one like https://gateway.example.com/v3")
	case u.Scheme == "http" && !IsLoopback(host):
		return nil, errors.New("is plain http, which would send the API key in the clear; write https:// (http:// is for this machine only)")
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// isHostLetter reports whether r may stand in a host name or an IP address.
func isHostLetter(r rune) bool {
	return r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:", r)
}

// IsLoopback reports whether host, a name or an address without a port, is this machine by itself.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// asciiHost writes a host name as the name service knows it: each label that is not ASCII as xn-- and its
// Punycode (RFC 3492).
func asciiHost(host string) string {
	labels := strings.Split(strings.ToLower(host), ".")
	for i, l := range labels {
		if !isASCII(l) {
			labels[i] = "xn--" + punycode([]rune(l))
		}
	}
	return strings.Join(labels, ".")
}

// The parameters of Punycode, by the names that RFC 3492 gives them.
const (
	punyBase, punyTMin, punyTMax, punySkew, punyDamp = 36, 1, 26, 38, 700
	punyBias, punyFirst                              = 72, 0x80
)

// punycode encodes a label as section 6.3 of RFC 3492 does.
func punycode(label []rune) string {
	var out []byte
	for _, r := range label {
		if r < punyFirst {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic > 0 {
		out = append(out, '-')
	}
	next, delta, bias := rune(punyFirst), 0, punyBias
	for handled := basic; handled < len(label); {
		least := rune(utf8.MaxRune)
		for _, r := range label {
			if r >= next {
				least = min(least, r)
			}
		}
		delta += int(least-next) * (handled + 1)
		next = least
		for _, r := range label {
			if r < next {
				delta++
			}
			if r != next {
				continue
			}
			q := delta
			for k := punyBase; ; k += punyBase {
				t := min(max(k-bias, punyTMin), punyTMax)
				if q < t {
					break
				}
				out = append(out, punyDigit(t+(q-t)%(punyBase-t)))
				q = (q - t) / (punyBase - t)
			}
			out = append(out, punyDigit(q))
			bias = punyAdapt(delta, handled+1, handled == basic)
			delta = 0
			handled++
		}
		delta++
		next++
	}
	return string(out)
}

func punyAdapt(delta, points int, first bool) int {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for ; delta > (punyBase-punyTMin)*punyTMax/2; k += punyBase {
		delta /= punyBase - punyTMin
	}
	return k + (punyBase-punyTMin+1)*delta/(delta+punySkew)
}

func punyDigit(d int) byte { return "abcdefghijklmnopqrstuvwxyz0123456789"[d] }
