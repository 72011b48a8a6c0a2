//go:build linux

package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/redacttest"
	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

// statusReader is an Authorizer by which the principal "status" may do what the page needs.
type statusReader struct{ operations []vault.Operation }

// Authorize implements vault.Authorizer.
func (s statusReader) Authorize(_ context.Context, r vault.Request) (vault.Decision, error) {
	allow := r.Principal == vault.DefaultOwner
	for _, op := range s.operations {
		allow = allow || r.Principal == "status" && r.Operation == op
	}
	return vault.Decision{Allow: allow, Rule: "test"}, nil
}

const password = "a password of the tests"

// newStatus serves a status page on TCP, and returns a function that gets a path of it.
func newStatus(t *testing.T, operations []vault.Operation) (v *vaulttest.Vault, s *StatusServer, get func(path, password string) (*http.Response, string)) {
	t.Helper()
	v = vaulttest.New(t, func(c *vault.Config) { c.Authorizer = statusReader{operations} })
	s, err := NewStatus(StatusConfig{Vault: v.Vault, Principal: "status", Password: []byte(password), Now: v.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ListenStatus("127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return v, s, func(path, password string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			r.SetBasicAuth("operator", password)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(text)
	}
}

// TestStatusPage shows keys in several states, what comes next, the audit log, and what a
// caller named in HTML.
func TestStatusPage(t *testing.T) {
	v, _, get := newStatus(t, StatusOperations())
	c, ctx := v.As(vault.DefaultOwner), t.Context()
	var keys []vault.Key
	for _, alias := range []string{"invoices", "old", "rotated"} {
		k, err := c.CreateKey(ctx, vault.KeyOptions{Alias: alias})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	if _, err := c.Encrypt(ctx, keys[0].ID, []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.DisableKeys(ctx, keys[1].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ScheduleKeyDeletion(ctx, keys[1].ID, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetRotation(ctx, keys[2].ID, vault.Rotation{Days: 90}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.As("<script>alert(1)</script>").DescribeKey(ctx, keys[0].ID); err == nil {
		t.Fatal("a stranger may describe a key")
	}
	used := v.Clock.Now().UTC().Format("2006-01-02 15:04")
	response, page := get("/", password)
	if response.StatusCode != 200 {
		t.Fatalf("%s: %s", response.Status, page)
	}
	for _, want := range []string{
		v.ID(), keys[0].ID, "invoices", ">PendingDeletion<", ">destroyed<", "in 7 days", ">rotates<", "in 90 days", "SOFTWARE (soft)",
		`data-name="Last use">` + used, "&lt;script&gt;", "REFUSED", "DENIED", "ScheduleKeyDeletion", ">ready<",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, unwanted := range []string{"<script", "Needs attention", ">status<"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if !strings.Contains(response.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("the page may load something")
	}
}

// TestStatusPageReadsOnly checks that the page's principal does nothing but its operations,
// and that it does them once for many views.
func TestStatusPageReadsOnly(t *testing.T) {
	v, _, get := newStatus(t, StatusOperations())
	if _, err := v.As(vault.DefaultOwner).CreateKey(t.Context(), vault.KeyOptions{}); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for range 20 {
		get("/", password)
	}
	most := len(StatusOperations()) * (2 + int(time.Since(begin)/statusAge))
	n := 0
	for r, err := range v.As(vault.DefaultOwner).AuditRecords(t.Context(), audit.Filter{Principal: "status"}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Result != audit.OK {
			t.Errorf("%s: %s", r.Operation, r.Error)
		}
		n++
	}
	if n < len(StatusOperations()) || n > most {
		t.Errorf("20 views made %d records, want at most %d", n, most)
	}
}

// TestStatusPageDenied shows what the principal may not read as missing.
func TestStatusPageDenied(t *testing.T) {
	_, _, get := newStatus(t, nil)
	response, page := get("/", password)
	if response.StatusCode != 200 || strings.Count(page, "do not permit the principal") != 3 {
		t.Errorf("%s: %s", response.Status, page)
	}
}

// TestStatusAccess checks the password, the paths and the addresses.
func TestStatusAccess(t *testing.T) {
	_, _, get := newStatus(t, StatusOperations())
	for _, c := range []struct {
		path, password string
		want           int
	}{
		{"/", password, 200}, {"/", "", 401}, {"/", "another password of the tests", 401}, {"/metrics", "", 401},
		{"/metrics", password, 404}, {"/other", password, 404}, {"/other", "", 401}, {"/health/ready", "", 200}, {"/health/live", "", 200},
	} {
		if response, _ := get(c.path, c.password); response.StatusCode != c.want {
			t.Errorf("%s with the password %q: %d, want %d", c.path, c.password, response.StatusCode, c.want)
		}
	}
	if _, err := NewStatus(StatusConfig{Vault: new(vault.Vault), Principal: "status", Password: []byte("short")}); err == nil {
		t.Error("a short password is accepted")
	}
	secret := []byte("a password that is not printed")
	cfg := StatusConfig{Vault: new(vault.Vault), Principal: "status", Password: secret}
	s, err := NewStatus(cfg)
	if err != nil {
		t.Fatal(err)
	}
	redacttest.Silent(t, cfg, secret)
	redacttest.Silent(t, s, secret)
	for address, passworded := range map[string]bool{"127.0.0.1:0": false, "0.0.0.0:0": true, ":0": true} {
		if l, err := ListenStatus(address, passworded); err == nil {
			l.Close()
			t.Errorf("%s is served, with a password: %v", address, passworded)
		}
	}
	path := filepath.Join(t.TempDir(), "status")
	l, err := ListenStatus("unix:"+path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := net.DialTimeout("unix", path, time.Second); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

// TestStatusOfOtherSites sends what a browser sends for a page of another site, which must not
// make records in the audit log with the password that the browser knows.
func TestStatusOfOtherSites(t *testing.T) {
	_, s, get := newStatus(t, StatusOperations())
	for _, c := range []struct {
		site, destination string
		want              int
	}{
		{"", "", 200}, {"none", "document", 200}, {"same-origin", "document", 200}, {"cross-site", "document", 200},
		{"cross-site", "image", 403}, {"same-site", "script", 403}, {"cross-site", "iframe", 403}, {"cross-site", "empty", 403},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth("operator", password)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
			r.Header.Set("Sec-Fetch-Dest", c.destination)
		}
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s, %s: %d, want %d", c.site, c.destination, w.Code, c.want)
		}
	}
	response, _ := get("/", password)
	for _, name := range []string{"Cross-Origin-Resource-Policy", "Cross-Origin-Opener-Policy"} {
		if got := response.Header.Get(name); got != "same-origin" {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// TestStatusOfClientThatHasGone makes the page for a client that has gone. Others see that
// page, which must be whole.
func TestStatusOfClientThatHasGone(t *testing.T) {
	_, s, get := newStatus(t, StatusOperations())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(gone, "GET", "/", nil)
	r.SetBasicAuth("operator", password)
	s.http.Handler.ServeHTTP(httptest.NewRecorder(), r)
	if _, page := get("/", password); strings.Contains(page, "could not be read") {
		t.Errorf("a part is missing: %s", page)
	}
}
