package vault

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/vault/internal/bindingrecords"
)

// TestBindingsBlock: while a resource is bound to a CMK, what would stop its use fails with
// ErrKeyBound and is on record; the rest works.
func TestBindingsBlock(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Alias: "k"})
	fixture := newImportFixture(t, c, k, ownKey(1))
	mustImport(t, c, "k", fixture.material())
	for _, name := range []string{"db-2", "db-1", "db-2"} { // the last is bound already
		if err := c.BindResource(ctx, "k", name); err != nil {
			t.Fatal(err)
		}
	}
	closeChecked(t, v)
	v, err := Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	all, err := c.ListBindings(ctx, "k")
	if err != nil || len(all) != 2 || all[0].Resource != "db-1" || all[1].Resource != "db-2" || all[0].Creator != DefaultOwner || all[0].Created.IsZero() {
		t.Errorf("ListBindings: %+v, %v", all, err)
	}
	blocked := map[Operation]func() error{
		OpDisableKey:                func() error { return c.DisableKeys(ctx, "k") },
		OpArchiveKey:                func() error { return c.ArchiveKey(ctx, "k") },
		OpDeleteImportedKeyMaterial: func() error { return c.DeleteImportedKeyMaterial(ctx, "k") },
	}
	for op, call := range blocked {
		if err := call(); !errors.Is(err, ErrKeyBound) || !errors.Is(err, ErrKeyState) || !strings.Contains(err.Error(), "db-1") {
			t.Errorf("%s of a bound CMK: %v, want ErrKeyBound", op, err)
		}
		if r := lastRecord(t, c, op); r.Result != audit.Failed || r.Error != "KEY_BOUND" || r.Key != k.ID {
			t.Errorf("%s of a bound CMK is recorded as %s %s", op, r.Result, r.Error)
		}
	}
	forceState(t, v, k, Disabled)
	if _, err := c.ScheduleKeyDeletion(ctx, "k", MinDeletionDays); !errors.Is(err, ErrKeyBound) {
		t.Errorf("ScheduleKeyDeletion of a bound CMK: %v, want ErrKeyBound", err)
	}
	forceState(t, v, k, Enabled)
	if _, err := c.Encrypt(ctx, "k", nil, nil); err != nil {
		t.Errorf("Encrypt with a bound CMK: %v", err)
	}
	for _, name := range []string{"db-1", "db-2"} {
		if err := c.UnbindResource(ctx, "k", name); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.UnbindResource(ctx, "k", "db-1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("UnbindResource of a resource that is not bound: %v, want ErrNotFound", err)
	}
	if v.store.Version(bindingrecords.Path(k.ID)) != 0 {
		t.Error("a CMK without resources has a record of bindings")
	}
	if err := c.DisableKeys(ctx, "k"); err != nil {
		t.Errorf("DisableKeys after the last resource was unbound: %v", err)
	}
}

// TestBindingAndDisableExclude: of a binding and a disabling at the same time, at least one
// fails: no CMK is Disabled with a resource bound.
func TestBindingAndDisableExclude(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	for range 20 {
		k := mustKey(t, c, KeyOptions{})
		var bind, disable error
		var wg sync.WaitGroup
		wg.Go(func() { bind = c.BindResource(ctx, k.ID, "r") })
		wg.Go(func() { disable = c.DisableKeys(ctx, k.ID) })
		wg.Wait()
		if bind == nil && disable == nil || !errors.Is(errors.Join(bind, disable), ErrKeyState) {
			t.Fatalf("BindResource: %v, DisableKeys: %v, want one of them to fail with ErrKeyState", bind, disable)
		}
	}
}

// TestResourceNames: names that are not valid, and more resources than the limit, are
// rejected. The Authorizer sees the name.
func TestResourceNames(t *testing.T) {
	var seen []string
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		if r.Resource != "" {
			seen = append(seen, string(r.Operation)+" "+r.Resource)
		}
		return Decision{Allow: true}, nil
	})
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	for _, name := range []string{"", "a\nb", "\xff", strings.Repeat("x", bindingrecords.MaxResource+1)} {
		if err := errors.Join(c.BindResource(ctx, k.ID, name)); !errors.Is(err, ErrInvalid) {
			t.Errorf("a resource named %.20q: %v, want ErrInvalid", name, err)
		}
	}
	if len(seen) != 0 {
		t.Errorf("the Authorizer saw the invalid names %q", seen)
	}
	for i := range bindingrecords.Limit {
		if err := c.BindResource(ctx, k.ID, strings.Repeat("x", bindingrecords.MaxResource-2)+fmt.Sprintf("%02d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.BindResource(ctx, k.ID, "one more"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a resource above the limit: %v, want ErrTooLarge", err)
	}
	if last := seen[len(seen)-1]; last != "BindResource one more" {
		t.Errorf("the Authorizer saw %q", last)
	}
}

// TestListAlgorithms: the matrix has each algorithm of Capabilities once, with its driver.
func TestListAlgorithms(t *testing.T) {
	v, _, _, _ := newDeviceVault(t)
	c := v.As(DefaultOwner)
	rows, err := c.ListAlgorithms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		name := fmt.Sprint(r.Driver, " ", r.Usage, " ", r.Spec, " ", r.Algorithm)
		if seen[name] || r.Algorithm == "" || r.Level == "" {
			t.Errorf("row %s stands twice or is incomplete: %+v", name, r)
		}
		seen[name] = true
	}
	want := 0
	for _, d := range v.Capabilities() {
		for _, k := range d.Keys {
			want += max(1, len(k.Sign)+len(k.Decrypt))
		}
	}
	if len(rows) != want {
		t.Errorf("%d rows, want %d", len(rows), want)
	}
	for _, name := range []string{
		softDriver + " ENCRYPT_DECRYPT SYMMETRIC_DEFAULT " + v.suite.String(), softDriver + " SIGN_VERIFY ECC_P256 ECC_P256_R1", softDriver + " GENERATE_VERIFY_MAC HMAC_256 HMAC_SHA_256", softDriver + " GENERATE_VERIFY_MAC HMAC_512 HMAC_SHA_512",
	} {
		if testEdition() == Standard && !seen[name] {
			t.Errorf("no row %s", name)
		}
	}
	if r := lastRecord(t, c, OpListAlgorithms); r.Result != audit.OK {
		t.Errorf("ListAlgorithms is recorded as %s", r.Result)
	}
}
