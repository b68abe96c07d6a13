package s3_test

import (
	"context"
	"crypto/md5" //nolint:gosec // what S3 checks a body by
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"agentsync/internal/state/store"
	"agentsync/internal/state/store/storetest"
)

// bucket is a server that answers as it is told, and keeps what it was asked.
type bucket struct {
	*httptest.Server

	mu     sync.Mutex
	asked  []*http.Request
	bodies []string
}

func newBucket(t *testing.T, answer http.HandlerFunc) *bucket {
	t.Helper()
	b := new(bucket)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		b.asked, b.bodies = append(b.asked, r), append(b.bodies, string(body))
		b.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

// requests returns what was asked until now.
func (b *bucket) requests() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

func (b *bucket) url() string { return storetest.S3URL(b.Listener.Addr().String(), "prod") }

// done answers as a bucket does that has one object.
func done(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("ETag", `"tag"`)
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
}

// noCredentials takes away every way to credentials that this machine may have.
func noCredentials(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return dir
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCredentials: the credentials come from where all AWS tools look for them.
func TestCredentials(t *testing.T) {
	b := newBucket(t, done)
	roles := 0
	sts := newBucket(t, func(w http.ResponseWriter, r *http.Request) {
		roles++ // each has expired when it arrives, so the next request needs another
		fmt.Fprintf(w,
			`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>role-%d</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session-%d</SessionToken>
<Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			roles, roles, time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	})
	container := newBucket(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w,
			`{"AccessKeyId": "task", "SecretAccessKey": "secret", "Token": "task-session", "Expiration": %q}`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	for name, c := range map[string]struct {
		set           func(t *testing.T, dir string)
		keys, session []string // of the first request and of the second
	}{
		"environment": {func(t *testing.T, _ string) {
			storetest.SetEnv(t, []string{"AWS_ACCESS_KEY_ID=env", "AWS_SECRET_ACCESS_KEY=secret",
				"AWS_SESSION_TOKEN=env-session"})
		}, []string{"env", "env"}, []string{"env-session", "env-session"}},
		"profile": {func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "credentials"),
				"[prod]\naws_access_key_id = profile\naws_secret_access_key = secret\n")
			t.Setenv("AWS_PROFILE", "prod")
		}, []string{"profile", "profile"}, []string{"", ""}},
		"web identity": {func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "token"), "identity-of-the-job")
			storetest.SetEnv(t, []string{"AWS_WEB_IDENTITY_TOKEN_FILE=" + filepath.Join(dir, "token"),
				"AWS_ROLE_ARN=arn:aws:iam::123456789012:role/agentsync", "AWS_ENDPOINT_URL_STS=" + sts.URL})
		}, []string{"role-1", "role-2"}, []string{"session-1", "session-2"}},
		"container": {func(t *testing.T, _ string) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.URL)
		}, []string{"task", "task"}, []string{"task-session", "task-session"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.set(t, noCredentials(t))
			place := open(t, b.url())
			for i := range c.keys {
				if _, err := place.Get(t.Context(), "head.json"); err != nil {
					t.Fatal(err)
				}
				asked := b.requests()
				last := asked[len(asked)-1]
				if got := last.Header.Get("Authorization"); !strings.Contains(got, "Credential="+c.keys[i]+"/") ||
					!strings.Contains(got, "/us-east-1/s3/aws4_request") {
					t.Errorf("request %d is signed with %s", i+1, got)
				}
				if got := last.Header.Get("X-Amz-Security-Token"); got != c.session[i] {
					t.Errorf("request %d has the session %q", i+1, got)
				}
			}
		})
	}
	if form := sts.bodies[0]; !strings.Contains(form, "WebIdentityToken=identity-of-the-job") {
		t.Errorf("the role was asked for with %s", form)
	}
	t.Run("none", func(t *testing.T) {
		noCredentials(t)
		before := len(b.requests())
		_, err := open(t, b.url()).Get(t.Context(), "head.json")
		if !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") ||
			len(b.requests()) != before {
			t.Errorf("got %v", err)
		}
	})
}

// TestRequest: where a bucket stands in the address, and what a PUT says of its body.
func TestRequest(t *testing.T) {
	storetest.SetEnv(t, []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"})
	b := newBucket(t, done)
	if _, err := open(t, b.url()).Create(t.Context(), "journal/a b+c", []byte("content")); err != nil {
		t.Fatal(err)
	}
	put := b.requests()[0]
	sum := md5.Sum([]byte("content")) //nolint:gosec // see the import
	for name, want := range map[string]string{"Content-Md5": base64.StdEncoding.EncodeToString(sum[:]),
		"If-None-Match": "*", "Idempotency-Key": "", "X-Idempotency-Key": ""} {
		t.Run(name, func(t *testing.T) {
			if got := put.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		})
	}
	if put.RequestURI != "/fleet/prod/journal/a%20b%2Bc" || put.Host != b.Listener.Addr().String() ||
		b.bodies[0] != "content" {
		t.Errorf("path style: %s at %s", put.RequestURI, put.Host)
	}
	for url, want := range map[string]string{
		"s3://fleet/prod?region=eu-central-1":                                "https://fleet.s3.eu-central-1.amazonaws.com",
		"s3://fleet/prod?endpoint=https://store.example.com":                 "https://fleet.store.example.com",
		"s3://fleet/prod?endpoint=https://store.example.com&path-style=true": "https://store.example.com/fleet",
		"s3://fleet/prod?endpoint=http://127.0.0.1:9000/&path-style=true":    "http://127.0.0.1:9000/fleet",
	} {
		t.Run(url, func(t *testing.T) {
			if got := open(t, url).Base(); got != want {
				t.Errorf("%s is asked at %s, want %s", url, got, want)
			}
		})
	}
}

// TestNothingIsRetried: a request whose answer is lost is made once, also on a connection that another request has
// used, and nobody knows then what became of it; a redirect is not followed.
func TestNothingIsRetried(t *testing.T) {
	storetest.SetEnv(t, []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"})
	lose := false
	b := newBucket(t, func(w http.ResponseWriter, r *http.Request) {
		if !lose {
			done(w, r)
			return
		}
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	})
	place := open(t, b.url())
	if _, err := place.Get(t.Context(), "head.json"); err != nil {
		t.Fatal(err)
	}
	lose = true
	for name, write := range map[string]func() error{
		"create":  func() error { _, err := place.Create(t.Context(), "x", []byte("x")); return err },
		"empty":   func() error { _, err := place.Create(t.Context(), "x", nil); return err },
		"replace": func() error { _, err := place.Replace(t.Context(), "x", []byte("x"), "tag"); return err },
		"delete":  func() error { return place.Delete(t.Context(), "x") },
	} {
		t.Run(name, func(t *testing.T) {
			before := len(b.requests())
			err := write()
			if n := len(b.requests()) - before; n != 1 || err == nil || errors.Is(err, store.ErrExists) ||
				errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrDenied) {
				t.Errorf("%d requests, %v", n, err)
			}
		})
	}
	elsewhere := newBucket(t, done)
	redirecting := newBucket(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	if _, err := open(t, redirecting.url()).Create(t.Context(), "x", []byte("x")); err == nil ||
		len(elsewhere.requests()) > 0 {
		t.Errorf("a redirect: %v", err)
	}
}

// TestAnswers: what a store says is known only where it says so; credentials that it refuses are named as the reason.
func TestAnswers(t *testing.T) {
	storetest.SetEnv(t, []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret-that-nobody-prints"})
	said := func(code string) string {
		return "<Error><Code>" + code + "</Code><Message>in its own words</Message></Error>"
	}
	for _, c := range []struct {
		status int
		body   string
		want   error // nil: nobody knows
	}{
		{412, "", store.ErrExists}, {409, said("ConditionalRequestConflict"), nil}, {429, "", nil},
		{500, said("InternalError"), nil}, {501, said("NotImplemented"), nil},
		{503, said("SlowDown"), nil}, {404, said("NoSuchBucket"), nil}, {403, said("AccessDenied"), store.ErrDenied},
		{401, "", store.ErrDenied},
		{400, said("ExpiredToken"), store.ErrDenied}, {400, said("InvalidToken"), store.ErrDenied},
		{400, said("BadDigest"), nil}, {200, "", nil},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.body), func(t *testing.T) {
			b := newBucket(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status) // without an ETag, so that 200 is no answer either
				_, _ = io.WriteString(w, c.body)
			})
			_, err := open(t, b.url()).Create(t.Context(), "x", []byte("x"))
			known := errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrDenied) ||
				errors.Is(err, store.ErrChanged) ||
				errors.Is(err, store.ErrAbsent)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && known {
				t.Errorf("%d %s: %v, want %v", c.status, c.body, err, c.want)
			}
			if c.want != store.ErrExists && c.body != "" && !strings.Contains(err.Error(), "in its own words") ||
				strings.Contains(err.Error(), "nobody-prints") {
				t.Errorf("%d %s: %v", c.status, c.body, err)
			}
		})
	}
}

// TestLimitOfADelete: a request deletes a thousand objects: one less, as many, and one more.
func TestLimitOfADelete(t *testing.T) {
	storetest.SetEnv(t, []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"})
	for n, want := range map[int][]int{999: {999}, 1000: {1000}, 1001: {1000, 1}} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := newBucket(t, done)
			var keys []string
			for i := range n {
				keys = append(keys, fmt.Sprint("journal/", i))
			}
			if err := open(t, b.url()).Delete(t.Context(), keys...); err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, body := range b.bodies {
				got = append(got, strings.Count(body, "<Key>"))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d objects in requests of %v, want %v", n, got, want)
			}
		})
	}
}

// TestLimitOfAnAnswer: an object of a gibibyte is read, one of a byte more is refused before it is. The server closes the
// connection in place of a body.
func TestLimitOfAnAnswer(t *testing.T) {
	storetest.SetEnv(t, []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"})
	for over, refused := range map[int]bool{-1: false, 0: false, 1: true} {
		t.Run(fmt.Sprint(over), func(t *testing.T) {
			b := newBucket(t, func(w http.ResponseWriter, r *http.Request) {
				done(w, r)
				w.Header().Set("Content-Length", strconv.Itoa(1<<30+over))
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})
			_, err := open(t, b.url()).Get(t.Context(), "x")
			if err == nil || errors.Is(err, store.ErrConnection) == refused {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestClockOfThisMachine: S3 refuses requests of a machine whose clock is off by more than a quarter of an hour; it is
// said by how much.
func TestClockOfThisMachine(t *testing.T) {
	storetest.SetEnv(t, []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"})
	for off, want := range map[time.Duration]string{time.Hour: "differs by 1h0m0s",
		-24 * time.Hour: "differs by 24h0m0s"} {
		t.Run(fmt.Sprint(off), func(t *testing.T) {
			b := newBucket(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, "<Error><Code>RequestTimeTooSkewed</Code></Error>")
			})
			_, err := open(t, b.url()).Get(t.Context(), "head.json")
			if !errors.Is(err, store.ErrDenied) ||
				!regexp.MustCompile(want+`|differs by (59m59s|1h0m1s|23h59m59s|24h0m1s)`).MatchString(err.Error()) {
				t.Errorf("%v: %v", off, err)
			}
		})
	}
}

// TestTimeLimits: a store that takes a connection and says nothing, one that stops in the middle of a body, and one
// that cuts it end a request without an answer.
func TestTimeLimits(t *testing.T) {
	storetest.SetEnv(t, []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"})
	stop := make(chan struct{})
	defer close(stop)
	stalling := newBucket(t, func(w http.ResponseWriter, r *http.Request) {
		done(w, r)
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-stop
	})
	cutting := newBucket(t, func(w http.ResponseWriter, r *http.Request) {
		done(w, r)
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	})
	for name, url := range map[string]string{"silent": storetest.S3URL(storetest.Silent(t), "prod"),
		"stalls": stalling.url(), "cuts": cutting.url()} {
		t.Run(name, func(t *testing.T) {
			place := open(t, url)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			o, err := place.Get(ctx, "head.json")
			if err == nil || errors.Is(err, store.ErrAbsent) || name != "cuts" && ctx.Err() == nil {
				t.Errorf("%q, %v", o.Content, err)
			}
			cancel()
		})
	}
}
