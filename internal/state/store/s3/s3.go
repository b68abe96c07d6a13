// Package s3 is a store.Store in an S3-compatible bucket, under a prefix: five verbs over net/http, signed and with the
// credentials of the AWS SDK, and nothing is tried again. The bucket must keep If-None-Match: * and If-Match on PUT,
// which store.Probe finds out.
package s3

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // Content-MD5 is what S3 checks a body by
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"agentsync/internal/state/store"
	"agentsync/internal/state/store/connect"
)

const (
	// maxAnswer bounds an object: a state of 50,000 agents is some 100 MB.
	maxAnswer = 1 << 30
	// usualState bounds the space that is made ready for an object before it is read.
	usualState = 128 << 20
	// maxDelete is how many objects S3 deletes in one request.
	maxDelete = 1000
)

// Bucket is a bucket, or the part of it below a prefix. It is safe for concurrent use.
type Bucket struct {
	name      string // for people
	base      *url.URL
	prefix    string
	region    string
	client    *http.Client
	signer    *v4.Signer
	loadOnce  sync.Once       // guards what follows
	transport *http.Transport // the client's, without its authorities until then
	creds     aws.CredentialsProvider
	credsErr  error
}

// Open returns the bucket that a URL names: s3://bucket/prefix?region=…&endpoint=…&path-style=true. Nothing is asked
// yet; the credentials come from where the AWS SDK looks for them (environment, profile, web identity of CI, …), never
// from the URL.
func Open(text string) (*Bucket, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "s3" || u.Host == "" || u.Fragment != "":
		return nil, errors.New("write s3://bucket/prefix?region=REGION, and endpoint=URL where it is not AWS")
	case u.User != nil:
		return nil, errors.New("no key stands in a URL: agentsync reads the credentials as the AWS tools do, from AWS_ACCESS_KEY_ID and so on")
	}
	b := &Bucket{prefix: strings.Trim(u.Path, "/"), region: "us-east-1"}
	endpoint, pathStyle := "", false
	for name, values := range u.Query() {
		value := values[len(values)-1]
		switch name {
		case "region":
			b.region = value
		case "endpoint":
			endpoint = strings.TrimRight(value, "/")
		case "path-style":
			if pathStyle, err = strconv.ParseBool(value); err != nil {
				return nil, errors.New("path-style is true or false")
			}
		default:
			return nil, fmt.Errorf("an s3 URL has no %q: there are region, endpoint and path-style", name)
		}
	}
	if endpoint == "" {
		endpoint = "https://s3." + b.region + ".amazonaws.com"
	}
	if b.base, err = checkEndpoint(endpoint); err != nil {
		return nil, err
	}
	if pathStyle {
		b.base.Path = "/" + u.Host
	} else {
		b.base.Host = u.Host + "." + b.base.Host
	}
	if b.prefix != "" {
		b.prefix += "/"
	}
	b.name = "s3://" + u.Host + "/" + b.prefix
	// S3 signs the path as it is sent
	b.signer = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	b.transport = &http.Transport{Proxy: http.ProxyFromEnvironment, OnProxyConnectResponse: proxyAnswered,
		MaxIdleConnsPerHost: 32, IdleConnTimeout: 90 * time.Second, DisableCompression: true}
	b.client = &http.Client{
		Transport:     b.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return b, nil
}

// proxyAnswered makes an error of a proxy's refusal, of which net/http says no more than the words of its status.
func proxyAnswered(_ context.Context, proxy *url.URL, connect *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &store.ConnectError{
		Detail: fmt.Sprintf("the proxy %s refused to connect to %s: %s", proxy.Host, connect.Host, answer.Status),
		Hint:   "see whether HTTPS_PROXY is right; NO_PROXY names hosts that are reached without it"}
}

// checkEndpoint lets plain http go to this machine alone.
func checkEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		return nil, errors.New("the endpoint is https://host, without a path or a key")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && !ip.IsLoopback()) {
		return nil, errors.New("the endpoint needs https: over plain http everybody on the way reads the state")
	}
	return u, nil
}

// Name returns s3://bucket/prefix/.
func (b *Bucket) Name() string { return b.name }

// CloseIdle closes connections that nobody uses.
func (b *Bucket) CloseIdle() { b.client.CloseIdleConnections() }

// Get returns an object. Its age is Date minus Last-Modified, both by the store's clock, in whole seconds.
func (b *Bucket) Get(ctx context.Context, key string) (store.Object, error) {
	a, err := b.sendOnce(ctx, http.MethodGet, b.prefix+key, nil, nil, nil)
	switch {
	case err != nil:
		return store.Object{}, err
	case a.status == http.StatusNotFound && a.errorCode() != "NoSuchBucket":
		return store.Object{}, store.ErrAbsent
	case a.status != http.StatusOK:
		return store.Object{}, a.asError()
	}
	o := store.Object{Content: a.body, Tag: store.Tag(a.header.Get("ETag"))}
	now, dateErr := http.ParseTime(a.header.Get("Date"))
	at, atErr := http.ParseTime(a.header.Get("Last-Modified"))
	if o.Tag == "" || dateErr != nil || atErr != nil {
		return store.Object{}, errors.New("it answers without an ETag, a Date or a Last-Modified")
	}
	o.Age = now.Sub(at)
	return o, nil
}

// Create puts an object where none is.
func (b *Bucket) Create(ctx context.Context, key string, content []byte) (store.Tag, error) {
	return b.putIf(ctx, key, content, "If-None-Match", "*", store.ErrExists)
}

// Replace puts an object in the place of the one that has the tag.
func (b *Bucket) Replace(ctx context.Context, key string, content []byte, old store.Tag) (store.Tag, error) {
	if old == "" { // an empty condition would be none
		return "", store.ErrChanged
	}
	return b.putIf(ctx, key, content, "If-Match", string(old), store.ErrChanged)
}

func (b *Bucket) putIf(ctx context.Context, key string, content []byte, condition, value string,
	refused error) (store.Tag, error) {
	a, err := b.sendOnce(ctx, http.MethodPut, b.prefix+key, nil, content, http.Header{condition: {value}})
	switch {
	case err != nil:
		return "", err
	case a.status == http.StatusPreconditionFailed, a.status == http.StatusNotFound && a.errorCode() == "NoSuchKey" &&
		condition == "If-Match":
		return "", refused
	case a.status != http.StatusOK:
		// 409 as well: another write is under way, and nobody knows yet which of the two wins
		return "", a.asError()
	case a.header.Get("ETag") == "":
		return "", errors.New("it answers a PUT without an ETag")
	}
	return store.Tag(a.header.Get("ETag")), nil
}

// List returns the keys that begin with prefix, page after page: the one method that may be several requests.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	for token := ""; ; {
		query := url.Values{"list-type": {"2"}, "prefix": {b.prefix + prefix}}
		if token != "" {
			query.Set("continuation-token", token)
		}
		a, err := b.sendOnce(ctx, http.MethodGet, "", query, nil, nil)
		if err != nil {
			return nil, err
		}
		if a.status != http.StatusOK {
			return nil, a.asError()
		}
		var page struct {
			IsTruncated           bool
			NextContinuationToken string
			Contents              []struct{ Key string }
		}
		if err := xml.Unmarshal(a.body, &page); err != nil {
			return nil, fmt.Errorf("it answers a list that is no XML: %w", err)
		}
		for _, c := range page.Contents {
			keys = append(keys, strings.TrimPrefix(c.Key, b.prefix))
		}
		if token = page.NextContinuationToken; !page.IsTruncated || token == "" {
			slices.Sort(keys)
			return keys, nil
		}
	}
}

// Delete removes objects, a thousand in a request.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	type object struct{ Key string }
	for part := range slices.Chunk(keys, maxDelete) {
		var request struct {
			XMLName xml.Name `xml:"Delete"`
			Quiet   bool
			Object  []object
		}
		request.Quiet = true
		for _, key := range part {
			request.Object = append(request.Object, object{b.prefix + key})
		}
		body, err := xml.Marshal(request)
		if err != nil {
			return err
		}
		a, err := b.sendOnce(ctx, http.MethodPost, "", url.Values{"delete": {""}}, body, nil)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return a.asError()
		}
	}
	return nil
}

// s3Answer is what the store said.
type s3Answer struct {
	status int
	header http.Header
	body   []byte
}

// sendOnce sends one request, once, signed now.
func (b *Bucket) sendOnce(ctx context.Context, method, key string, query url.Values, body []byte,
	header http.Header) (*s3Answer, error) {
	creds, err := b.currentCredentials(ctx)
	if err != nil {
		return nil, err
	}
	u := *b.base
	path := u.Path + "/" + key
	u.Path, u.RawPath = path, escapePath(path)
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	request, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.GetBody = nil // the transport must not send it twice
	for name, values := range header {
		request.Header[name] = values
	}
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	request.Header.Set("X-Amz-Content-Sha256", payload)
	if body != nil {
		digest := md5.Sum(body) //nolint:gosec // see the import
		request.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(digest[:]))
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	if err := b.signer.SignHTTP(ctx, creds, request, payload, "s3", b.region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	response, err := b.client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // whoever asked says where
	}
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return nil, connect.NoTLS(err)
	case err != nil:
		return nil, connect.Explain(err, "AWS_CA_BUNDLE")
	}
	defer response.Body.Close()
	if response.ContentLength > maxAnswer { // cut off, it would pass for a damaged state
		return nil, fmt.Errorf("the object has %d bytes; at most %d are read", response.ContentLength, maxAnswer)
	}
	// As large as it will be, within bounds: a state of 100 MB would be copied again and again while its space grows.
	expected := min(max(response.ContentLength, 0), usualState)
	content := bytes.NewBuffer(make([]byte, 0, expected+bytes.MinRead))
	if _, err := content.ReadFrom(io.LimitReader(response.Body, maxAnswer)); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrConnection, err)
	}
	return &s3Answer{response.StatusCode, response.Header, content.Bytes()}, nil
}

func (b *Bucket) currentCredentials(ctx context.Context) (aws.Credentials, error) {
	b.loadOnce.Do(func() {
		// its warnings would go to stderr
		cfg, err := config.LoadDefaultConfig(context.WithoutCancel(ctx), config.WithRegion(b.region),
			config.WithLogger(logging.Nop{}))
		b.creds, b.credsErr = cfg.Credentials, err
		// Where AWS_CA_BUNDLE or the profile names authorities, they hold for the store as well.
		if client, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
			b.transport.TLSClientConfig = client.GetTransport().TLSClientConfig
		}
	})
	if b.credsErr != nil {
		return aws.Credentials{}, &store.ConnectError{Detail: "the settings of the AWS tools cannot be used",
			Err:  b.credsErr,
			Hint: "see the variables AWS_CA_BUNDLE, AWS_PROFILE and AWS_CONFIG_FILE, and the files in ~/.aws"}
	}
	creds, err := b.creds.Retrieve(ctx) // from its cache, until shortly before they expire
	if err == nil {
		return creds, nil
	}
	return aws.Credentials{},
		fmt.Errorf("no credentials are found (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role): %w: %w", store.ErrDenied, err)
}

// escapePath escapes all but what S3 signs as it is.
func escapePath(path string) string {
	var out strings.Builder
	for i := range len(path) {
		c := path[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("/-_.~", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// errorCode is S3's name of an error, "" for none.
func (a *s3Answer) errorCode() string {
	code, _ := a.errorParts()
	return code
}

func (a *s3Answer) errorParts() (code, message string) {
	var e struct{ Code, Message string }
	_ = xml.Unmarshal(a.body, &e) // what is no XML says nothing
	return e.Code, e.Message
}

// asError says what the store said. It matches store.ErrDenied where the credentials are the reason.
func (a *s3Answer) asError() error {
	code, message := a.errorParts()
	text := fmt.Sprintf("it answers %d", a.status)
	// Not in S3's own words, and for no reason that passes.
	isForeign := code == "" && a.status < 500 && !slices.Contains([]int{http.StatusRequestTimeout, http.StatusConflict,
		http.StatusTooManyRequests}, a.status)
	if plain := strings.TrimSpace(string(a.body)); isForeign && !strings.HasPrefix(plain, "<") {
		message, _, _ = strings.Cut(plain, "\n") // of a proxy, or of a server that wants TLS
	}
	for _, more := range []string{code, message} {
		if more != "" {
			text += ", " + strconv.QuoteToGraphic(more[:min(len(more), 300)])
		}
	}
	if at, err := http.ParseTime(a.header.Get("Date")); err == nil && code == "RequestTimeTooSkewed" {
		text += fmt.Sprintf("; the clock of this machine differs by %v from the store's: set it", time.Until(at).Abs().
			Round(time.Second))
	}
	if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || code == "ExpiredToken" ||
		code == "InvalidToken" {
		return fmt.Errorf("%s: %w", text, store.ErrDenied)
	}
	switch code {
	case "NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "AuthorizationHeaderMalformed":
		// the last two: another region
		return fmt.Errorf("%s: %w", text, store.ErrNoPlace)
	}
	return &store.AnswerError{Detail: text, Foreign: isForeign}
}
