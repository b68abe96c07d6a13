package sandbox

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// pageAgents is how many agents of one app the page shows; the newest ones.
const pageAgents = 200

// pageData is what the page is made of.
type pageData struct {
	Apps     []pageApp
	Requests []pageRequest
	Faults   []Rule
}

type pageApp struct {
	Platform, App string
	Count, More   int
	Agents        []pageAgent
}

type pageAgent struct{ Name, UID, About, Created string }

type pageRequest struct{ At, Method, Path, Name, Status, Took, Faults string }

// servePage answers the page for people. It shows no secret and needs no script.
func (s *Server) servePage(w http.ResponseWriter) {
	d := pageData{Faults: s.Faults()}
	for _, a := range s.store.all() {
		if p := a.page(); p.Count > 0 {
			d.Apps = append(d.Apps, p)
		}
	}
	for _, r := range s.Requests() {
		d.Requests = append(d.Requests, r.page())
	}
	var b bytes.Buffer
	if err := page.Execute(&b, d); err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	a := answer{status: 200, kind: "text/html; charset=utf-8", body: b.Bytes()}
	a.set("Cache-Control", "no-store")
	a.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	a.set("X-Content-Type-Options", "nosniff")
	a.send(w)
}

func (a *app) page() pageApp {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := pageApp{Platform: title(a.key.platform), App: a.key.app}
	for i := len(a.agents) - 1; i >= 0; i-- {
		g := a.agents[i]
		if a.live(g.uid) == nil {
			continue
		}
		if p.Count++; p.Count > pageAgents {
			p.More++
			continue
		}
		e := a.export(g)
		p.Agents = append(p.Agents, pageAgent{
			Name: e.Name, UID: e.UID, About: about(e), Created: g.created.Format("2006-01-02 15:04:05"),
		})
	}
	return p
}

func title(platform string) string {
	if platform == Mindset {
		return "Mindset AI"
	}
	return "CometChat"
}

// about is one line of an agent's fields, none of them secret.
func about(a Agent) string {
	var words []string
	add := func(label string, v any) {
		switch v := v.(type) {
		case string:
			if v != "" {
				words = append(words, label+v)
			}
		case bool:
			if !v {
				label = "not " + label
			}
			words = append(words, label)
		case []any:
			if len(v) > 0 {
				words = append(words, label+strings.Trim(fmt.Sprint(v), "[]"))
			}
		}
	}
	if a.Platform == Mindset {
		add("live", a.Fields["live"])
		add("", a.Fields["access"])
		add("tenant ", a.Fields["externalTenantId"])
		add("tags ", a.Fields["tags"])
		return strings.Join(words, " · ")
	}
	meta, _ := a.Fields["integrationMeta"].(map[string]any)
	add("active", a.Fields["isActive"])
	add("", a.Fields["integrateWith"])
	if base, _ := meta["baseUrl"].(string); base != "" {
		if u, err := url.Parse(base); err == nil {
			add("", u.Host) // the rest may hold a token
		}
	}
	add("tools ", a.Fields["tools"])
	return strings.Join(words, " · ")
}

func (r Request) page() pageRequest {
	p := pageRequest{
		At: r.At.Format("15:04:05.000"), Method: r.Method, Path: r.Path, Name: r.Name,
		Status: r.Outcome, Took: r.Took.Round(10 * time.Microsecond).String(), Faults: strings.Join(r.Faults, ", "),
	}
	if r.Status != 0 {
		p.Status = fmt.Sprint(r.Status)
		if r.Outcome != "answered" {
			p.Status += " " + r.Outcome
		}
	}
	return p
}
