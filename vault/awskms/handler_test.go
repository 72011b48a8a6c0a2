package awskms_test

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
	"testing"
	"time"

	"strongroom.example/internal/testing/redacttest"
	"strongroom.example/vault"
	"strongroom.example/vault/awskms"
	"strongroom.example/vault/vaulttest"
)

const (
	ownerID = "AKIAOWNER"
	guestID = "AKIAGUEST"
	region  = "eu-test-1"
	account = "111122223333"
	prefix  = "arn:aws:kms:" + region + ":" + account + ":"
)

var secretKey = []byte("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")

// A client signs requests to a handler by itself, over HTTP.
type client struct {
	t      *testing.T
	vault  *vaulttest.Vault
	url    string
	id     string
	called map[string]bool // operations that succeeded
}

// newClient serves a new vault, and returns the client of its owner.
func newClient(t *testing.T, configure ...func(*vault.Config)) *client {
	t.Helper()
	v := vaulttest.New(t, configure...)
	h, err := awskms.New(v.Vault, awskms.Config{Now: v.Clock.Now, Region: region, Account: account, Credentials: []awskms.Credential{
		{AccessKeyID: ownerID, SecretAccessKey: secretKey, Principal: vault.DefaultOwner},
		{AccessKeyID: guestID, SecretAccessKey: secretKey, Principal: "guest"},
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

// A scope is what a signature is made for.
type scope struct{ date, region, service, headers string }

// signedHeaders are those that a client signs at least.
const signedHeaders = "content-type;host;x-amz-date;x-amz-target"

// request returns a signed request. change may change it before it is signed.
func (c *client) request(op string, body []byte, change ...func(*http.Request)) *http.Request {
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+"/", bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService."+op)
	r.Header.Set("X-Amz-Date", c.vault.Clock.Now().UTC().Format("20060102T150405Z"))
	for _, f := range change {
		f(r)
	}
	if _, signed := r.Header["Authorization"]; !signed {
		c.sign(r, body, scope{headers: signedHeaders})
	}
	return r
}

// sign signs a request as the documentation of the service describes it.
func (c *client) sign(r *http.Request, body []byte, s scope) {
	day := r.Header.Get("X-Amz-Date")
	if s.date == "" && len(day) > 8 {
		s.date = day[:8]
	}
	if s.region == "" {
		s.region = region
	}
	if s.service == "" {
		s.service = "kms"
	}
	canonical := "POST\n/\n\n"
	for _, name := range strings.Split(s.headers, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.URL.Host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + s.headers + "\n" + hexSHA256(body)
	in := s.date + "/" + s.region + "/" + s.service + "/aws4_request"
	toSign := "AWS4-HMAC-SHA256\n" + day + "\n" + in + "\n" + hexSHA256([]byte(canonical))
	key := append([]byte("AWS4"), secretKey...)
	for _, step := range []string{s.date, s.region, s.service, "aws4_request", toSign} {
		m := hmac.New(sha256.New, key)
		io.WriteString(m, step)
		key = m.Sum(nil)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.id+"/"+in+", SignedHeaders="+s.headers+", Signature="+hex.EncodeToString(key))
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// An answer is the body of a response.
type answer map[string]any

// code returns the error code, which is empty if the operation succeeded.
func (a answer) code() string {
	code, _ := a["__type"].(string)
	return code
}

// bytes returns a field in base64.
func (a answer) bytes(name string) []byte {
	text, _ := a[name].(string)
	b, _ := base64.StdEncoding.DecodeString(text)
	return b
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// statuses are the statuses of failures that are not 400.
var statuses = map[string]int{
	"": 200, "UnknownOperationException": 404, "RequestEntityTooLargeException": 413,
	"KMSInternalException": 500, "KeyUnavailableException": 500, "DependencyTimeoutException": 500,
}

// send sends a request, and checks the form of the response.
func (c *client) send(r *http.Request) answer {
	c.t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	return c.read(res)
}

// read reads a response, and checks its form.
func (c *client) read(res *http.Response) answer {
	c.t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{}
	if err := json.Unmarshal(body, &a); err != nil && len(body) > 0 {
		c.t.Fatalf("the response is no object: %s %v", body, err)
	}
	want, listed := statuses[a.code()]
	if !listed {
		want = 400
	}
	message, _ := a["message"].(string)
	if res.StatusCode != want || res.Header.Get("Content-Type") != "application/x-amz-json-1.1" || !uuid.MatchString(res.Header.Get("x-amzn-RequestId")) ||
		res.Header.Get("x-amzn-ErrorType") != a.code() || (a.code() == "") != (message == "") {
		c.t.Errorf("status %d, headers %v, %v", res.StatusCode, res.Header, a)
	}
	return a
}

// params are the parameters of a call. A []byte is sent in base64.
type params map[string]any

// call calls an operation.
func (c *client) call(op string, p params) answer {
	c.t.Helper()
	body, err := json.Marshal(p)
	if err != nil {
		c.t.Fatal(err)
	}
	if p == nil {
		body = []byte("{}")
	}
	a := c.send(c.request(op, body))
	if a.code() == "" {
		c.called[op] = true
	}
	return a
}

// must calls an operation that succeeds.
func (c *client) must(op string, p params) answer {
	c.t.Helper()
	a := c.call(op, p)
	if a.code() != "" {
		c.t.Fatalf("%s: %v", op, a)
	}
	return a
}

// create makes a CMK, and returns its id.
func (c *client) create(p params) string {
	c.t.Helper()
	return c.must("CreateKey", p)["KeyMetadata"].(map[string]any)["KeyId"].(string)
}

// TestRequestsRefused sends requests that are wrong before any operation begins.
func TestRequestsRefused(t *testing.T) {
	c := newClient(t)
	body := []byte(`{"NumberOfBytes":16}`)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	at := func(d time.Duration) func(*http.Request) {
		return header("X-Amz-Date", c.vault.Clock.Now().Add(d).UTC().Format("20060102T150405Z"))
	}
	signed := func(s scope) func(*http.Request) {
		return func(r *http.Request) {
			if s.headers == "" {
				s.headers = signedHeaders
			}
			c.sign(r, body, s)
		}
	}
	altered := func(r *http.Request) {
		c.sign(r, body, scope{headers: signedHeaders})
		a := r.Header.Get("Authorization")
		last := byte('0')
		if a[len(a)-1] == last {
			last = '1'
		}
		r.Header.Set("Authorization", a[:len(a)-1]+string(last))
	}
	const wrong, incomplete = "InvalidSignatureException", "IncompleteSignatureException"
	for _, x := range []struct {
		name   string
		change []func(*http.Request)
		code   string
	}{
		{"good", nil, ""},
		{"good, four minutes old", []func(*http.Request){at(-4 * time.Minute)}, ""},
		{"replayed after six minutes", []func(*http.Request){at(-6 * time.Minute)}, wrong},
		{"six minutes ahead", []func(*http.Request){at(6 * time.Minute)}, wrong},
		{"no time", []func(*http.Request){func(r *http.Request) { r.Header.Del("X-Amz-Date") }}, incomplete},
		{"time in another form", []func(*http.Request){header("X-Amz-Date", "2026-01-01T00:00:00Z")}, incomplete},
		{"time changed after signing", []func(*http.Request){signed(scope{}), at(time.Second)}, wrong},
		{"one digit altered", []func(*http.Request){altered}, wrong},
		{"another body", []func(*http.Request){func(r *http.Request) { c.sign(r, []byte(`{"NumberOfBytes":17}`), scope{headers: signedHeaders}) }}, wrong},
		{"operation changed after signing it", []func(*http.Request){signed(scope{}), header("X-Amz-Target", "TrentService.ListKeys")}, wrong},
		{"key of another day", []func(*http.Request){signed(scope{date: "20251231"})}, wrong},
		{"key of another region", []func(*http.Request){signed(scope{region: "us-east-1"})}, wrong},
		{"key of another service", []func(*http.Request){signed(scope{service: "s3"})}, wrong},
		{"host not signed", []func(*http.Request){signed(scope{headers: "x-amz-date;x-amz-target"})}, wrong},
		{"time not signed", []func(*http.Request){signed(scope{headers: "host;x-amz-target"})}, wrong},
		{"operation not signed", []func(*http.Request){signed(scope{headers: "host;x-amz-date"})}, wrong},
		{"a header of the service not signed", []func(*http.Request){header("X-Amz-User-Agent", "x")}, wrong},
		{"headers out of order", []func(*http.Request){signed(scope{headers: "x-amz-target;host;x-amz-date"})}, incomplete},
		{"no authorization", []func(*http.Request){header("Authorization", "")}, "MissingAuthenticationTokenException"},
		{"another algorithm", []func(*http.Request){header("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=a/b/c/kms/aws4_request, SignedHeaders=host, Signature=00")}, incomplete},
		{"temporary credential", []func(*http.Request){header("X-Amz-Security-Token", "x")}, "UnrecognizedClientException"},
		{"unknown operation", []func(*http.Request){header("X-Amz-Target", "TrentService.StealKeys")}, "UnknownOperationException"},
		{"operation of another service", []func(*http.Request){header("X-Amz-Target", "DynamoDB_20120810.ListKeys")}, "UnknownOperationException"},
		{"no operation", []func(*http.Request){func(r *http.Request) { r.Header.Del("X-Amz-Target") }, signed(scope{headers: "host;x-amz-date"})}, "UnknownOperationException"},
		{"GET", []func(*http.Request){func(r *http.Request) { r.Method = "GET" }}, "MalformedHttpRequestException"},
		{"form", []func(*http.Request){header("Content-Type", "application/x-www-form-urlencoded")}, "MalformedHttpRequestException"},
		{"query", []func(*http.Request){func(r *http.Request) { r.URL.RawQuery = "a=b" }}, "MalformedHttpRequestException"},
	} {
		if got := c.send(c.request("GenerateRandom", body, x.change...)); got.code() != x.code {
			t.Errorf("%s: %v, not %q", x.name, got, x.code)
		}
	}
	c.id = "AKIAUNKNOWN"
	if got := c.call("ListKeys", nil).code(); got != "UnrecognizedClientException" {
		t.Errorf("unknown access key: %s", got)
	}
}

// TestBodiesRefused sends bodies that are malformed or too long.
func TestBodiesRefused(t *testing.T) {
	c := newClient(t)
	key := c.create(nil)
	for _, x := range []struct{ op, body, code string }{
		{"GenerateRandom", ``, "SerializationException"},
		{"GenerateRandom", `null`, "SerializationException"},
		{"GenerateRandom", `[]`, "SerializationException"},
		{"GenerateRandom", `{"NumberOfBytes":16`, "SerializationException"},
		{"GenerateRandom", `{"NumberOfBytes":16}{}`, "SerializationException"},
		{"GenerateRandom", `{"NumberOfBytes":"16"}`, "SerializationException"},
		{"GenerateRandom", `{"NumberOfBytes":1e30}`, "SerializationException"},
		{"GenerateRandom", `{"NumberOfBytes":-1}`, "ValidationException"},
		{"GenerateRandom", `{"numberofbytes":16}`, "ValidationException"},
		{"GenerateRandom", `{}`, "ValidationException"},
		{"Encrypt", strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `"}`, "ValidationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"hunter2 "}`, "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":["hunter2"]}`, "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"hunter2+","EncryptionContext":{"a":1}}`, "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","Plaintext":"\u0061\/Vu"}`, "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"\u0061\/V\u003d","EncryptionContext":null}`, ""},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"\u0061\/Vu\u0061\u0041\u003d\u003d","EncryptionContext":null}`, ""},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":[104,117,110,116]}`, "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":{"a":"1","a":"2"}}`, "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":{"a":"1"},"EncryptionContext":{"b":"2"}}`, "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":{"a":null}}`, "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":{"a":"` + "\xff" + `"}}`, "SerializationException"},
		{"Encrypt", `{"KeyId":"` + key + `","Plaintext":"aHVudGVyMg==","EncryptionContext":{"a":"\ud800"}}`, "SerializationException"},
		{"TagResource", `{"KeyId":"` + key + `","Tags":[{"TagKey":"a","TagValue":"b","tagkey":"c"}]}`, "ValidationException"},
		{"TagResource", `{"KeyId":"` + key + `","Tags":[{"TagKey":"a","TagValue":"b","TagKey":"c"}]}`, "SerializationException"},
		{"TagResource", `{"KeyId":"` + key + `","Tags":[{"TagKey":"a","TagValue":"b"},null]}`, "SerializationException"},
	} {
		got := c.send(c.request(x.op, []byte(x.body)))
		if got.code() != x.code {
			t.Errorf("%s %.80s: %v, not %q", x.op, x.body, got, x.code)
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
	h, err := awskms.New(c.vault.Vault, awskms.Config{Credentials: []awskms.Credential{{AccessKeyID: ownerID, SecretAccessKey: secretKey, Principal: "p"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for length, most := range map[int64]int{10 << 20: 0, -1: 2 * awskms.MaxBody} {
		body := new(zeros)
		r := httptest.NewRequest(http.MethodPost, "/", body)
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.ContentLength = length
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge || body.read > most {
			t.Errorf("length %d: %d bytes were read, and the response is %d %s", length, body.read, w.Code, w.Body)
		}
	}
	r := c.request("GenerateRandom", bytes.Repeat([]byte(" "), 10<<20))
	if got := c.send(r).code(); got != "RequestEntityTooLargeException" {
		t.Errorf("10 MB over HTTP: %s", got)
	}
}

// TestRoundTripper sends a request in the same process, of which the length header is signed.
func TestRoundTripper(t *testing.T) {
	v := vaulttest.New(t)
	h, err := awskms.New(v.Vault, awskms.Config{Now: v.Clock.Now, Region: region, Account: account,
		Credentials: []awskms.Credential{{AccessKeyID: ownerID, SecretAccessKey: secretKey, Principal: vault.DefaultOwner}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	c := &client{t: t, vault: v, url: "http://kms.local", id: ownerID}
	body := []byte(`{"NumberOfBytes":16}`)
	r := c.request("GenerateRandom", body, func(r *http.Request) {
		r.Header.Set("Content-Length", "20")
		c.sign(r, body, scope{headers: "content-length;" + signedHeaders})
		r.Header.Del("Content-Length") // which http.Client removes too
	})
	res, err := h.RoundTripper().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := c.read(res).bytes("Plaintext"); len(got) != 16 {
		t.Errorf("%d bytes", len(got))
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if res, err = h.RoundTripper().RoundTrip(c.request("GenerateRandom", body)); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := c.read(res).code(); got != "UnrecognizedClientException" {
		t.Errorf("after Close: %s", got)
	}
}

// TestCredentials checks what New refuses, and that nothing prints a secret key.
func TestCredentials(t *testing.T) {
	v := vaulttest.New(t)
	good := awskms.Credential{AccessKeyID: ownerID, SecretAccessKey: secretKey, Principal: "p"}
	for name, cfg := range map[string]awskms.Config{
		"none":         {},
		"two alike":    {Credentials: []awskms.Credential{good, good}},
		"no id":        {Credentials: []awskms.Credential{{SecretAccessKey: secretKey, Principal: "p"}}},
		"id of slash":  {Credentials: []awskms.Credential{{AccessKeyID: "a/b", SecretAccessKey: secretKey, Principal: "p"}}},
		"short key":    {Credentials: []awskms.Credential{{AccessKeyID: ownerID, SecretAccessKey: secretKey[:15], Principal: "p"}}},
		"no principal": {Credentials: []awskms.Credential{{AccessKeyID: ownerID, SecretAccessKey: secretKey}}},
		"region":       {Credentials: []awskms.Credential{good}, Region: "EU:1"},
		"account":      {Credentials: []awskms.Credential{good}, Account: "12"},
	} {
		if _, err := awskms.New(v.Vault, cfg); err == nil {
			t.Errorf("New accepts: %s", name)
		}
	}
	h, err := awskms.New(v.Vault, awskms.Config{Credentials: []awskms.Credential{good}})
	if err != nil {
		t.Fatal(err)
	}
	redacttest.Silent(t, good, secretKey)
	redacttest.Silent(t, &good, secretKey)
	redacttest.Silent(t, awskms.Config{Credentials: []awskms.Credential{good}}, secretKey)
	redacttest.Silent(t, h, secretKey)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
