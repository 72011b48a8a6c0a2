package tencentkms_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.example/internal/testing/redacttest"
	"strongroom.example/vault"
	"strongroom.example/vault/tencentkms"
	"strongroom.example/vault/vaulttest"
)

const (
	ownerID = "AKIDowner"
	guestID = "AKIDguest"
)

var secretKey = []byte("Gu5t9xGARNpq86cd98joQYCN3EXAMPLE")

// A client signs requests to a handler by itself, over HTTP.
type client struct {
	t      *testing.T
	vault  *vaulttest.Vault
	url    string
	id     string
	called map[string]bool // actions that succeeded
}

// newClient serves a new vault, and returns the client of its owner.
func newClient(t *testing.T, configure ...func(*vault.Config)) *client {
	t.Helper()
	v := vaulttest.New(t, configure...)
	h, err := tencentkms.New(v.Vault, tencentkms.Config{Now: v.Clock.Now, Region: "basement", Credentials: []tencentkms.Credential{
		{SecretID: ownerID, SecretKey: secretKey, Principal: vault.DefaultOwner},
		{SecretID: guestID, SecretKey: secretKey, Principal: "guest"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.Close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return &client{t, v, server.URL, ownerID, make(map[string]bool)}
}

// request returns a signed request. change may change it before it is signed.
func (c *client) request(action string, body []byte, change ...func(*http.Request)) *http.Request {
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("X-TC-Action", action)
	r.Header.Set("X-TC-Version", tencentkms.Version)
	r.Header.Set("X-TC-Timestamp", fmt.Sprint(c.vault.Clock.Now().Unix()))
	return c.finish(r, body, change)
}

// get returns a signed GET with its parameters in the query.
func (c *client) get(action, query string, change ...func(*http.Request)) *http.Request {
	r := c.request(action, nil, func(r *http.Request) { r.Header.Set("Authorization", "none") })
	r.Method, r.Body, r.URL.RawQuery = http.MethodGet, http.NoBody, query
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Del("Authorization")
	return c.finish(r, nil, change)
}

// finish changes a request, and signs it unless that set the signature.
func (c *client) finish(r *http.Request, body []byte, change []func(*http.Request)) *http.Request {
	for _, f := range change {
		f(r)
	}
	if r.Header.Get("Authorization") == "" {
		c.sign(r, body, "content-type;host")
	}
	return r
}

// A signing is what a signature depends on, beside the request and the key.
type signing struct{ date, host, service, headers string }

// signing returns what the SDK for Go signs with.
func (c *client) signing(r *http.Request) signing {
	var seconds int64
	fmt.Sscan(r.Header.Get("X-TC-Timestamp"), &seconds)
	return signing{time.Unix(seconds, 0).UTC().Format("2006-01-02"), r.URL.Host, "kms", "content-type;host"}
}

// sign signs headers of a request as the documentation of the service describes it.
func (c *client) sign(r *http.Request, body []byte, headers string) {
	s := c.signing(r)
	s.headers = headers
	c.signBy(s, r, body)
}

// signOn signs a request with the key of a day.
func (c *client) signOn(date string, r *http.Request, body []byte) {
	s := c.signing(r)
	s.date = date
	c.signBy(s, r, body)
}

func (c *client) signBy(s signing, r *http.Request, body []byte) {
	canonical := r.Method + "\n/\n" + r.URL.RawQuery + "\n"
	for _, name := range strings.Split(s.headers, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = s.host
		}
		canonical += name + ":" + strings.ToLower(value) + "\n"
	}
	canonical += "\n" + s.headers + "\n" + hexSHA256(body)
	scope := s.date + "/" + s.service + "/tc3_request"
	toSign := "TC3-HMAC-SHA256\n" + r.Header.Get("X-TC-Timestamp") + "\n" + scope + "\n" + hexSHA256([]byte(canonical))
	key := append([]byte("TC3"), secretKey...)
	for _, step := range []string{s.date, s.service, "tc3_request", toSign} {
		m := hmac.New(sha256.New, key)
		io.WriteString(m, step)
		key = m.Sum(nil)
	}
	r.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential="+c.id+"/"+scope+", SignedHeaders="+s.headers+", Signature="+hex.EncodeToString(key))
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// An answer is the field Response of a response.
type answer map[string]any

// code returns the error code, which is empty if the operation succeeded.
func (a answer) code() string {
	e, _ := a["Error"].(map[string]any)
	code, _ := e["Code"].(string)
	return code
}

// bytes returns a field in base64.
func (a answer) bytes(name string) []byte {
	text, _ := a[name].(string)
	b, _ := base64.StdEncoding.DecodeString(text)
	return b
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// send sends a request, and checks the form of the response.
func (c *client) send(r *http.Request) answer {
	c.t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	var envelope map[string]answer
	if err := json.NewDecoder(res.Body).Decode(&envelope); err != nil || len(envelope) != 1 {
		c.t.Fatalf("the response is no envelope: %v %v", envelope, err)
	}
	a := envelope["Response"]
	if id, _ := a["RequestId"].(string); res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" || !uuid.MatchString(id) {
		c.t.Errorf("status %d, type %q, RequestId %q", res.StatusCode, res.Header.Get("Content-Type"), id)
	}
	return a
}

// params are the parameters of a call. A []byte is sent in base64.
type params map[string]any

// call calls an action.
func (c *client) call(action string, p params) answer {
	c.t.Helper()
	body, err := json.Marshal(p)
	if err != nil {
		c.t.Fatal(err)
	}
	if p == nil {
		body = []byte("{}")
	}
	a := c.send(c.request(action, body))
	if a.code() == "" {
		c.called[action] = true
	}
	return a
}

// must calls an action that succeeds.
func (c *client) must(action string, p params) answer {
	c.t.Helper()
	a := c.call(action, p)
	if a.code() != "" {
		c.t.Fatalf("%s: %v", action, a["Error"])
	}
	return a
}

// create makes a CMK, and returns its id.
func (c *client) create(alias, usage string) string {
	c.t.Helper()
	return c.must("CreateKey", params{"Alias": alias, "KeyUsage": usage})["KeyId"].(string)
}

// TestRequestsRefused sends requests that are wrong before any operation begins.
func TestRequestsRefused(t *testing.T) {
	c := newClient(t)
	body := []byte(`{"NumberOfBytes":16}`)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	at := func(d time.Duration) func(*http.Request) {
		return header("X-TC-Timestamp", fmt.Sprint(c.vault.Clock.Now().Add(d).Unix()))
	}
	signed := func(headers string) func(*http.Request) {
		return func(r *http.Request) { c.sign(r, body, headers) }
	}
	altered := func(r *http.Request) {
		c.sign(r, body, "content-type;host")
		a := r.Header.Get("Authorization")
		last := byte('0')
		if a[len(a)-1] == last {
			last = '1'
		}
		r.Header.Set("Authorization", a[:len(a)-1]+string(last))
	}
	for _, x := range []struct {
		name   string
		change []func(*http.Request)
		code   string
	}{
		{"good", nil, ""},
		{"good, action signed", []func(*http.Request){signed("content-type;host;x-tc-action;x-tc-timestamp")}, ""},
		{"good, four minutes old", []func(*http.Request){at(-4 * time.Minute)}, ""},
		{"replayed after six minutes", []func(*http.Request){at(-6 * time.Minute)}, "AuthFailure.SignatureExpire"},
		{"six minutes ahead", []func(*http.Request){at(6 * time.Minute)}, "AuthFailure.SignatureExpire"},
		{"no time", []func(*http.Request){func(r *http.Request) { r.Header.Del("X-TC-Timestamp") }}, "MissingParameter"},
		{"time of no number", []func(*http.Request){header("X-TC-Timestamp", "now")}, "InvalidParameter"},
		{"time changed after signing", []func(*http.Request){signed("content-type;host"), at(time.Second)}, "AuthFailure.SignatureFailure"},
		{"one digit altered", []func(*http.Request){altered}, "AuthFailure.SignatureFailure"},
		{"another body", []func(*http.Request){func(r *http.Request) { c.sign(r, []byte(`{"NumberOfBytes":17}`), "content-type;host") }}, "AuthFailure.SignatureFailure"},
		{"action changed after signing it", []func(*http.Request){signed("content-type;host;x-tc-action"), header("X-TC-Action", "GetRegions")}, "AuthFailure.SignatureFailure"},
		{"key of another day", []func(*http.Request){func(r *http.Request) { c.signOn("2025-12-31", r, body) }}, "AuthFailure.SignatureFailure"},
		{"host not signed", []func(*http.Request){signed("content-type")}, "AuthFailure.SignatureFailure"},
		{"content type not signed", []func(*http.Request){signed("host")}, "AuthFailure.SignatureFailure"},
		{"no authorization", []func(*http.Request){header("Authorization", "none")}, "AuthFailure.InvalidAuthorization"},
		{"another algorithm", []func(*http.Request){header("Authorization", "HmacSHA1 Credential=a/b/kms/tc3_request, SignedHeaders=host, Signature=00")}, "AuthFailure.InvalidAuthorization"},
		{"temporary credential", []func(*http.Request){header("X-TC-Token", "x")}, "AuthFailure.TokenFailure"},
		{"another version", []func(*http.Request){header("X-TC-Version", "2020-01-01")}, "NoSuchVersion"},
		{"unknown action", []func(*http.Request){header("X-TC-Action", "StealKeys")}, "InvalidAction"},
		{"no action", []func(*http.Request){func(r *http.Request) { r.Header.Del("X-TC-Action") }}, "MissingParameter"},
		{"GET of JSON", []func(*http.Request){func(r *http.Request) { r.Method = "GET" }}, "UnsupportedProtocol"},
		{"PUT", []func(*http.Request){func(r *http.Request) { r.Method = "PUT" }}, "UnsupportedProtocol"},
		{"form", []func(*http.Request){header("Content-Type", "application/x-www-form-urlencoded")}, "UnsupportedProtocol"},
		{"query", []func(*http.Request){func(r *http.Request) { r.URL.RawQuery = "a=b" }}, "InvalidParameter"},
	} {
		if got := c.send(c.request("GenerateRandom", body, x.change...)); got.code() != x.code {
			t.Errorf("%s: %q, not %q", x.name, got["Error"], x.code)
		}
	}
	c.id = "AKIDunknown"
	if got := c.call("GetRegions", nil).code(); got != "AuthFailure.SecretIdNotFound" {
		t.Errorf("unknown SecretId: %s", got)
	}
}

// TestBodiesRefused sends bodies that are malformed or too long.
func TestBodiesRefused(t *testing.T) {
	c := newClient(t)
	key := c.create("k", "")
	for _, x := range []struct{ action, body, code string }{
		{"GenerateRandom", ``, "InvalidParameter"},
		{"GenerateRandom", `null`, "InvalidParameter"},
		{"GenerateRandom", `[]`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":16`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":16}{}`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":"16"}`, ""},
		{"GenerateRandom", `{"NumberOfBytes":null}`, "MissingParameter"},
		{"GenerateRandom", `{"NumberOfBytes":""}`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":"+16"}`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":"0x10"}`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":"\u0031"}`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":"99999999999999999999"}`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":16.0}`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":true}`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":[16]}`, "InvalidParameter"},
		{"ListKeys", `{"Role":null}`, ""},
		{"GenerateRandom", `{"NumberOfBytes":-1}`, "InvalidParameter"},
		{"GenerateRandom", `{"NumberOfBytes":1e30}`, "InvalidParameter"},
		{"GenerateRandom", `{"numberofbytes":16}`, "UnknownParameter"},
		{"GenerateRandom", `{}`, "MissingParameter"},
		{"Encrypt", strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), "InvalidParameter"},
		{"Encrypt", `{"KeyId":"` + key + `"}`, "MissingParameter"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"hunter2 "}`, "InvalidParameterValue.InvalidPlaintext"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":["hunter2"]}`, "InvalidParameterValue.InvalidPlaintext"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","Plaintext":"\u0061\/Vu"}`, "InvalidParameter"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"\u0061\/V\u003d"}`, ""},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":[104,117,110,116]}`, "InvalidParameterValue.InvalidPlaintext"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":"null"}`, "InvalidParameter"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":"{\"a\":\"1\",\"a\":\"2\"}"}`, "InvalidParameter"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":"{\"a\":null}"}`, "InvalidParameter"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":"{\"a\":\"\\ud800\"}"}`, "InvalidParameter"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":"{\"a\":\"` + "\xff" + `\"}"}`, "InvalidParameter"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":"{}"}`, ""},
		{"ListKeyDetail", `{"TagFilters":[{"TagKey":"a","tagvalue":["b"]}]}`, "UnknownParameter"},
		{"ListKeyDetail", `{"TagFilters":[{"TagKey":"a","TagValue":["b"],"TagKey":"c"}]}`, "InvalidParameter"},
	} {
		got := c.send(c.request(x.action, []byte(x.body)))
		if got.code() != x.code {
			t.Errorf("%s %.80s: %q, not %q", x.action, x.body, got["Error"], x.code)
		}
		if strings.Contains(fmt.Sprint(got), "hunter2") {
			t.Errorf("the error contains the parameter: %v", got)
		}
	}
}

// zeros is an endless body that counts the bytes that were read of it.
type zeros struct{ read int }

func (z *zeros) Read(b []byte) (int, error) {
	clear(b)
	z.read += len(b)
	return len(b), nil
}

// TestLongBodiesAreNotRead sends 10 MB, with the length declared and not.
func TestLongBodiesAreNotRead(t *testing.T) {
	c := newClient(t)
	h, err := tencentkms.New(c.vault.Vault, tencentkms.Config{Credentials: []tencentkms.Credential{{SecretID: ownerID, SecretKey: secretKey, Principal: "p"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for length, most := range map[int64]int{10 << 20: 0, -1: 2 * tencentkms.MaxBody} {
		body := new(zeros)
		r := httptest.NewRequest(http.MethodPost, "/", body)
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = length
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), `"RequestSizeLimitExceeded"`) || body.read > most {
			t.Errorf("length %d: %d bytes were read, and the response is %s", length, body.read, w.Body)
		}
	}
	r := c.request("GenerateRandom", bytes.Repeat([]byte(" "), 10<<20))
	if got := c.send(r).code(); got != "RequestSizeLimitExceeded" {
		t.Errorf("10 MB over HTTP: %s", got)
	}
}

// TestCredentials checks what New refuses, that nothing prints a secret key, and that none is
// left after Close.
func TestCredentials(t *testing.T) {
	v := vaulttest.New(t)
	good := tencentkms.Credential{SecretID: ownerID, SecretKey: secretKey, Principal: "p"}
	for name, cs := range map[string][]tencentkms.Credential{
		"none":         {},
		"two alike":    {good, good},
		"no id":        {{SecretKey: secretKey, Principal: "p"}},
		"id of slash":  {{SecretID: "a/b", SecretKey: secretKey, Principal: "p"}},
		"short key":    {{SecretID: ownerID, SecretKey: secretKey[:15], Principal: "p"}},
		"no principal": {{SecretID: ownerID, SecretKey: secretKey}},
	} {
		if _, err := tencentkms.New(v.Vault, tencentkms.Config{Credentials: cs}); err == nil {
			t.Errorf("New accepts credentials: %s", name)
		}
	}
	h, err := tencentkms.New(v.Vault, tencentkms.Config{Credentials: []tencentkms.Credential{good}})
	if err != nil {
		t.Fatal(err)
	}
	redacttest.Silent(t, good, secretKey)
	redacttest.Silent(t, &good, secretKey)
	redacttest.Silent(t, tencentkms.Config{Credentials: []tencentkms.Credential{good}}, secretKey)
	redacttest.Silent(t, h, secretKey)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// TestCloseDuringRequests closes a handler while requests run. Each is served or refused.
func TestCloseDuringRequests(t *testing.T) {
	v := vaulttest.New(t)
	h, err := tencentkms.New(v.Vault, tencentkms.Config{Now: v.Clock.Now, Credentials: []tencentkms.Credential{
		{SecretID: ownerID, SecretKey: secretKey, Principal: vault.DefaultOwner},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, vault: v, url: "http://kms.local", id: ownerID}
	served := make(chan struct{}, 8)
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			for closed := false; !closed; {
				res, err := h.RoundTripper().RoundTrip(c.request("GenerateRandom", []byte(`{"NumberOfBytes":16}`)))
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				closed = bytes.Contains(body, []byte(`"AuthFailure.SecretIdNotFound"`))
				if !closed && !bytes.Contains(body, []byte(`"Plaintext"`)) {
					t.Errorf("%s", body)
					return
				}
				select {
				case served <- struct{}{}:
				default:
				}
			}
		})
	}
	for range cap(served) {
		<-served
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	calls.Wait()
}
