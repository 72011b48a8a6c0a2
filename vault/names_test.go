package vault

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom.example/audit"
)

// TestStrangerLearnsNoNames: who may do nothing is told the same of keys that are there
// and of keys that are not, and each of it is on record.
func TestStrangerLearnsNoNames(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	owner, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, owner, KeyOptions{Alias: "invoices"})
	ct, err := owner.Encrypt(ctx, k.ID, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	noID := newKeyID([16]byte{7})
	noCT := slices.Clone(ct)
	id, _ := parseKeyID(k.ID)
	none, _ := parseKeyID(noID)
	if at := strings.Index(string(ct), string(id[:])); at < 0 {
		t.Fatal("the ciphertext names no key")
	} else {
		copy(noCT[at:], none[:])
	}
	for name, act := range map[string]func(c Client, key string, ct []byte) error{
		"Encrypt":     func(c Client, key string, _ []byte) error { return second(c.Encrypt(ctx, key, nil, nil)) },
		"Decrypt":     func(c Client, _ string, ct []byte) error { return second(c.Decrypt(ctx, ct, nil)) },
		"OpenDataKey": func(c Client, _ string, ct []byte) error { return second(c.OpenDataKey(ctx, append(ct, 0), nil)) },
		"DescribeKey": func(c Client, key string, _ []byte) error { return second(c.DescribeKey(ctx, key)) },
		"DisableKeys": func(c Client, key string, _ []byte) error { return c.DisableKeys(ctx, key) },
		"Sign":        func(c Client, key string, _ []byte) error { return second(c.Sign(ctx, key, nil, SignOptions{})) },
		"MoveKey":     func(c Client, key string, _ []byte) error { return second(c.MoveKey(ctx, key, softDriver)) },
	} {
		stranger := v.As(Principal("stranger to " + name))
		told := func(key string, ct []byte) string {
			err := act(stranger, key, ct)
			if !errors.Is(err, ErrDenied) {
				t.Errorf("%s of %q: %v", name, key, err)
				return ""
			}
			// But for the name, which he gave himself.
			words := strings.Fields(err.Error())
			if named := words[2]; named != key+":" && named != mustInspect(t, ct)+":" {
				t.Errorf("%s of %q: told of %s", name, key, named)
			}
			words[2] = ""
			return strings.Join(words, " ")
		}
		want := told(k.ID, ct)
		for key, ct := range map[string][]byte{"invoices": ct, noID: noCT, "nobody": noCT, "?": noCT} {
			if got := told(key, ct); got != want {
				t.Errorf("%s of %q: told %q, want %q", name, key, got, want)
			}
		}
		if n := denials(t, owner, stranger.principal); n != 5 {
			t.Errorf("%s: %d refusals on record, want 5", name, n)
		}
		if name == "Decrypt" || name == "OpenDataKey" {
			continue // ErrCiphertext, whatever was wrong
		}
		if err := act(owner, "nobody", nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s by the owner: %v", name, err)
		}
	}
}

// mustInspect returns the id that a ciphertext names.
func mustInspect(t *testing.T, ct []byte) string {
	t.Helper()
	in, err := Inspect(ct)
	if err != nil {
		t.Fatal(err)
	}
	return in.Key
}

// denials counts what one principal was denied.
func denials(t *testing.T, c Client, p Principal) (n int) {
	t.Helper()
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{Principal: string(p)}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Result == audit.Refused && r.Error == "DENIED" && r.Decision == "DENY" {
			n++
		}
	}
	return n
}

// asked keeps what it was asked last, and allows it.
type asked struct{ last Request }

func (a *asked) Authorize(_ context.Context, r Request) (Decision, error) {
	a.last = r
	return Decision{Allow: true}, nil
}

// TestAbsentKeyIsAuthorized: the authorizer is asked by the name that the caller gave.
func TestAbsentKeyIsAuthorized(t *testing.T) {
	a, cfg := &asked{}, testConfig()
	cfg.Authorizer = a
	v, _ := newTestVault(t, cfg)
	c, id := v.As("p"), newKeyID([16]byte{7})
	for name, want := range map[string]Request{id: {Key: id}, "nobody": {Alias: "nobody"}} {
		size := v.store.LogState().Size
		if err := second(c.DescribeKey(t.Context(), name)); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if a.last.Key != want.Key || a.last.Alias != want.Alias || a.last.Tags != nil || a.last.Operation != OpDescribeKey {
			t.Errorf("asked %+v, want %+v", a.last, want)
		}
		if got := v.store.LogState().Size; got != size {
			t.Errorf("%d records of a key that is not there", got-size)
		}
	}
}
