package awskms_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
	"strongroom.example/vault/awskms"
	"strongroom.example/vault/vaulttest"
)

// TestPrincipalOfConnection has requests whose connection proves their principal, and one
// whose does not. Each has a Result.
func TestPrincipalOfConnection(t *testing.T) {
	v := vaulttest.New(t)
	var results []awskms.Result
	h, err := awskms.New(v.Vault, awskms.Config{
		Principal: func(r *http.Request) (vault.Principal, bool) {
			p := vault.Principal(r.Header.Get("X-Peer"))
			return p, p != ""
		},
		Observe: func(r awskms.Result) { results = append(results, r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, c := range []struct{ peer, action, code, wantAction string }{
		{"owner", "ListKeys", "", "ListKeys"},
		{"guest", "ListKeys", "AccessDeniedException", "ListKeys"},
		{"owner", "ListEverything", "UnknownOperationException", ""},
		{"", "ListKeys", "MissingAuthenticationTokenException", "ListKeys"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://vault/", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "TrentService."+c.action)
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
	if _, err := awskms.New(v.Vault, awskms.Config{}); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("a handler without clients: %v, want ErrInvalid", err)
	}
}

// TestNamesOfStores: a principal that may not create keys gets the same error for every name of a
// custom key store, and one that may creates keys in a driver by its name.
func TestNamesOfStores(t *testing.T) {
	c := newClient(t, func(cfg *vault.Config) {
		cfg.Drivers = map[string]driver.Driver{"hsm": drivertest.NewMemory()}
	})
	create := func(store string) answer {
		return c.call("CreateKey", params{"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store})
	}
	if got := create("hsm"); got.code() != "" || got["KeyMetadata"].(map[string]any)["CustomKeyStoreId"] != "hsm" {
		t.Errorf("CreateKey in a driver: %v", got)
	}
	for _, absent := range []string{"cks-1", "soft"} {
		if got := create(absent); got.code() != "CustomKeyStoreNotFoundException" {
			t.Errorf("CreateKey in the store %s: %v", absent, got)
		}
	}
	c.id = guestID
	want := create("hsm")
	if want.code() != "AccessDeniedException" {
		t.Errorf("CreateKey by a principal that may not: %v", want)
	}
	for _, absent := range []string{"cks-1", "soft"} {
		if got := create(absent); got.code() != want.code() || got["message"] != want["message"] {
			t.Errorf("CreateKey in the store %s by a principal that may not: %v, want %v", absent, got, want)
		}
	}
}
