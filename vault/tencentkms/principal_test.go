package tencentkms_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"strongroom.example/vault"
	"strongroom.example/vault/tencentkms"
	"strongroom.example/vault/vaulttest"
)

// TestPrincipalOfConnection has requests whose connection proves their principal, and one
// whose does not. Each has a Result.
func TestPrincipalOfConnection(t *testing.T) {
	v := vaulttest.New(t)
	var results []tencentkms.Result
	h, err := tencentkms.New(v.Vault, tencentkms.Config{
		Principal: func(r *http.Request) (vault.Principal, bool) {
			p := vault.Principal(r.Header.Get("X-Peer"))
			return p, p != ""
		},
		Observe: func(r tencentkms.Result) { results = append(results, r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, c := range []struct{ peer, action, code, wantAction string }{
		{"owner", "ListKeys", "", "ListKeys"},
		{"guest", "ListKeys", "UnauthorizedOperation", "ListKeys"},
		{"owner", "ListEverything", "InvalidAction", ""},
		{"", "ListKeys", "AuthFailure.InvalidAuthorization", "ListKeys"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://vault/", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-TC-Action", c.action)
		r.Header.Set("X-TC-Version", tencentkms.Version)
		r.Header.Set("X-Peer", c.peer)
		response, err := h.RoundTripper().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		got := results[len(results)-1]
		if got.Code != c.code || got.Action != c.wantAction || string(got.Principal) != c.peer || got.RequestID == "" || got.Duration < 0 || got.Duration > time.Minute {
			t.Errorf("%+v: the result is %+v", c, got)
		}
	}
	if len(results) != 4 {
		t.Errorf("%d results, want 4", len(results))
	}
	if _, err := tencentkms.New(v.Vault, tencentkms.Config{}); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("a handler without clients: %v, want ErrInvalid", err)
	}
}
