package manifest

import (
	"net/netip"
	"net/url"
	"strings"
)

// endpointProblem says what is wrong with a base URL that replaces a platform's own, or "". What is
// no URL with http or https at all is left to the schema.
func endpointProblem(endpoint string) string {
	if !strings.HasPrefix(endpoint, "https://") && !strings.HasPrefix(endpoint, "http://") {
		return ""
	}
	u, err := url.Parse(strings.ReplaceAll(endpoint, "{app}", "app"))
	switch {
	case err != nil || u.Hostname() == "":
		return "is not a URL; write one like https://gateway.example.com/v3"
	case u.User != nil:
		return "holds a user name or password; credentials belong into the variable that apiKeyEnv names"
	case u.RawQuery != "" || u.ForceQuery:
		return "holds a query; leave out what follows the ?"
	case u.Fragment != "" || strings.HasSuffix(endpoint, "#"):
		return "holds a fragment; leave out what follows the #"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "is plain http, which would send the API key in the clear; write https:// (http:// is for this machine only)"
	default:
		return ""
	}
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
