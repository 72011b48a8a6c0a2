package vault

import (
	"errors"
	"path/filepath"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// TestNoAuthorizer: without Config.Authorizer the owner, and no other principal, may call every
// method of Client. Other tests give their vaults an Authorizer that counts.
func TestNoAuthorizer(t *testing.T) {
	for _, owner := range []Principal{"", "chief"} {
		device := drivertest.NewMemory()
		t.Cleanup(func() { device.Close() })
		cfg := testConfig()
		cfg.Owner, cfg.Drivers = owner, map[string]driver.Driver{"hsm": device}
		if owner == "" {
			owner = DefaultOwner
		}
		dir := filepath.Join(t.TempDir(), "v")
		v, err := Create(t.Context(), dir, cfg, passphrase(t, "correct horse"))
		must(t, err)
		must(t, v.Close())
		v, err = Open(t.Context(), dir, cfg, passphrase(t, "correct horse"))
		must(t, err)
		mayAll(t, v, owner)
		for r, err := range v.As(owner).AuditRecords(t.Context(), audit.Filter{}) {
			must(t, err)
			if denied := r.Principal != string(owner); r.Decision != "" && (denied != (r.Decision == "DENY") || r.Rule != "owner") {
				t.Errorf("the owner is %s, and a record is %+v", owner, r)
			}
		}
		must(t, v.As(owner).Check(t.Context()))
		must(t, v.Close())
	}
}

// mayAll checks that only the owner may make the calls of TestAllOperationsConcurrently.
func mayAll(t *testing.T, v *Vault, owner Principal) {
	t.Helper()
	x := newStressFixture(t, v.As(owner))
	for _, stranger := range []Principal{DefaultOwner, "mallory"} {
		if stranger == owner {
			continue
		}
		y := *x
		y.Client = v.As(stranger)
		for _, one := range stressCalls() {
			if err := one.call(t.Context(), &y); !errors.Is(err, ErrDenied) {
				t.Errorf("%s by %q, where the owner is %q: %v, want ErrDenied", one.method, stranger, owner, err)
			}
		}
	}
	for _, one := range stressCalls() {
		if err := one.call(t.Context(), x); errors.Is(err, ErrDenied) || errors.Is(err, ErrInvalid) && one.method != "PutPolicy" {
			t.Errorf("%s by the owner %q: %v", one.method, owner, err)
		}
	}
}
