//go:build linux

package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"strongroom.example/internal/server/promtext"
	"strongroom.example/internal/testing/kmsclient"
	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/awnumar/memguard/core.NewCoffer.func1"))
}

const credentialID = "AKIDtest"

var credentialKey = []byte("a key of the tests, and of them only")

// A fixture is a server over a new vault, with a Unix socket and a TCP port.
type fixture struct {
	*Server
	t       *testing.T
	vault   *vaulttest.Vault
	metrics *promtext.Provider
	log     *lockedBuffer
	socket  string
	address string // of TCP
	key     string // a CMK
	unix    *kmsclient.Client
	tcp     *kmsclient.Client
}

// newFixture serves a vault. On the Unix socket this user is the owner, and on TCP the
// credential is.
func newFixture(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	v := vaulttest.New(t)
	uid := uint32(os.Getuid())
	f := &fixture{t: t, vault: v, metrics: new(promtext.Provider), log: new(lockedBuffer), socket: filepath.Join(t.TempDir(), "s")}
	cfg := Config{
		Vault: v.Vault, Meters: f.metrics, Now: v.Clock.Now, Logger: slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Clients: &Clients{Peers: []Peer{{UID: &uid, Principal: vault.DefaultOwner}}, Credentials: []Credential{{ID: credentialID, Key: credentialKey, Principal: vault.DefaultOwner}}},
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if f.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	f.serve("unix:"+f.socket, Rules{Clients: cfg.Clients})
	f.address = f.serve("127.0.0.1:0", Rules{Clients: cfg.Clients}).Addr().String()
	f.unix = kmsclient.Unix(f.socket, 16)
	f.tcp = &kmsclient.Client{URL: "http://" + f.address, HTTP: &http.Client{Transport: &http.Transport{}}, ID: credentialID, Key: credentialKey, Now: v.Clock.Now}
	t.Cleanup(func() {
		f.unix.HTTP.CloseIdleConnections()
		f.tcp.HTTP.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	k, err := v.As(vault.DefaultOwner).CreateKey(t.Context(), vault.KeyOptions{Alias: "k"})
	if err != nil {
		t.Fatal(err)
	}
	f.key = k.ID
	return f
}

// serve listens and serves.
func (f *fixture) serve(address string, r Rules) net.Listener {
	f.t.Helper()
	l, err := Listen(address, r)
	if err != nil {
		f.t.Fatal(err)
	}
	go f.Serve(l)
	return l
}

// encrypt encrypts by a client.
func (f *fixture) encrypt(ctx context.Context, c *kmsclient.Client) error {
	return c.Call(ctx, "Encrypt", map[string]string{"KeyId": f.key, "Plaintext": "cGxhaW4="}, nil)
}

// code returns the code of an error of the API, and other errors as text.
func code(err error) string {
	var e *kmsclient.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

// TestServe encrypts and decrypts over a Unix socket without a secret, and over TCP with a
// signature. Each request is in the audit log by its id, and measured.
func TestServe(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]*kmsclient.Client{"unix": f.unix, "tcp": f.tcp} {
		var sealed struct{ CiphertextBlob, KeyID string }
		if err := c.Call(t.Context(), "Encrypt", map[string]string{"KeyId": f.key, "Plaintext": "cGxhaW4="}, &sealed); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var opened struct{ Plaintext string }
		if err := c.Call(t.Context(), "Decrypt", map[string]string{"CiphertextBlob": sealed.CiphertextBlob}, &opened); err != nil || opened.Plaintext != "cGxhaW4=" {
			t.Errorf("%s: %q, %v", name, opened.Plaintext, err)
		}
	}
	unsigned := *f.tcp
	unsigned.ID = ""
	if got := code(f.encrypt(t.Context(), &unsigned)); got != "AuthFailure.InvalidAuthorization" {
		t.Errorf("TCP without a signature: %s", got)
	}
	var b strings.Builder
	if _, err := f.metrics.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`strongroom_requests_total{action="Encrypt",api="tencent",code=""} 2`,
		`strongroom_requests_total{action="Encrypt",api="tencent",code="AuthFailure.InvalidAuthorization"} 1`,
		`strongroom_request_duration_seconds_count{action="Decrypt",api="tencent",code=""} 2`,
		"strongroom_vault_time_in_doubt 0\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the metrics lack %s:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), f.key) || strings.Contains(b.String(), credentialID) {
		t.Error("the metrics name a key or a credential")
	}
}

// TestAWS serves the API of AWS KMS at the same address.
func TestAWS(t *testing.T) {
	f := newFixture(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.unix.URL, strings.NewReader(`{"KeyId":"`+f.key+`","Plaintext":"cGxhaW4="}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService.Encrypt")
	response, err := f.unix.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var out struct{ CiphertextBlob, KeyID string }
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil || out.CiphertextBlob == "" {
		t.Errorf("%s: %v", response.Status, err)
	}
	var b strings.Builder
	if _, err := f.metrics.WriteTo(&b); err != nil || !strings.Contains(b.String(), `strongroom_requests_total{action="Encrypt",api="aws",code=""} 1`) {
		t.Errorf("the metrics lack the request: %v\n%s", err, b.String())
	}
}

// TestOtherPeer has a peer without a principal: it needs a signature.
func TestOtherPeer(t *testing.T) {
	other := uint32(os.Getuid() + 1)
	f := newFixture(t, func(c *Config) { c.Clients.Peers = []Peer{{UID: &other, Principal: vault.DefaultOwner}} })
	if got := code(f.encrypt(t.Context(), f.unix)); got != "AuthFailure.InvalidAuthorization" {
		t.Errorf("an unknown peer: %s", got)
	}
	signed := *f.unix
	signed.ID, signed.Key, signed.Now = credentialID, credentialKey, f.vault.Clock.Now
	if err := f.encrypt(t.Context(), &signed); err != nil {
		t.Errorf("an unknown peer with a credential: %v", err)
	}
	if !strings.Contains(f.log.String(), "without a principal") {
		t.Errorf("the log has no line of it: %s", f.log)
	}
}

// TestPeers checks which peer is which principal.
func TestPeers(t *testing.T) {
	one, two := uint32(1), uint32(2)
	c := &Clients{Peers: []Peer{{UID: &one, GID: &two, Principal: "both"}, {GID: &one, Principal: "group"}, {UID: &one, Principal: "user"}}}
	for id, want := range map[peerID]vault.Principal{{1, 2}: "both", {2, 1}: "group", {1, 1}: "group", {1, 3}: "user", {2, 2}: "", {0, 0}: ""} {
		if got, ok := c.peer(id); got != want || ok != (want != "") {
			t.Errorf("%v is %q, want %q", id, got, want)
		}
	}
}

// TestLog checks that the log has no plaintext, ciphertext or secret key, at its lowest level.
func TestLog(t *testing.T) {
	f := newFixture(t)
	plaintext := base64.StdEncoding.EncodeToString([]byte("a plaintext to look for"))
	var sealed struct{ CiphertextBlob string }
	if err := f.tcp.Call(t.Context(), "Encrypt", map[string]string{"KeyId": f.key, "Plaintext": plaintext}, &sealed); err != nil {
		t.Fatal(err)
	}
	f.tcp.Call(t.Context(), "Encrypt", map[string]string{"KeyId": "absent", "Plaintext": plaintext}, nil)
	text := f.log.String()
	for _, secret := range []string{plaintext, "a plaintext", sealed.CiphertextBlob, string(credentialKey)} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	lines := 0
	for line := range strings.Lines(text) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if entry["msg"] == "request" && entry["principal"] == "owner" && entry["action"] == "Encrypt" {
			lines++
		}
	}
	if lines != 2 {
		t.Errorf("the log has %d requests, want 2: %s", lines, text)
	}
}

// TestHealth follows the health endpoint until the end.
func TestHealth(t *testing.T) {
	f := newFixture(t)
	get := func(method, path string) int {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+f.address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := f.tcp.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	for _, path := range []string{pathLive, pathReady} {
		if got := get("GET", path); got != 200 {
			t.Errorf("%s: %d", path, got)
		}
		if got := get("POST", path); got != 405 {
			t.Errorf("POST %s: %d", path, got)
		}
	}
	f.stopping.Store(true)
	defer f.stopping.Store(false)
	if live, ready := get("GET", pathLive), get("GET", pathReady); live != 200 || ready != 503 {
		t.Errorf("while it stops: live %d, ready %d", live, ready)
	}
}

// A lockedBuffer is a log that a test reads while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was written.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
