package vault

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"strongroom.example/audit"
	"strongroom.example/vault/internal/keyid"
)

// TestDeniedCallerLearnsNoNames: a principal without permissions gets the same errors for
// existing and for unknown keys, and every call is recorded.
func TestDeniedCallerLearnsNoNames(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	owner, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, owner, KeyOptions{Alias: "invoices"})
	ct, err := owner.Encrypt(ctx, k.ID, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	noID := keyid.New([16]byte{7})
	noCT := slices.Clone(ct)
	id, _ := keyid.Parse(k.ID)
	none, _ := keyid.Parse(noID)
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
				t.Errorf("%s of %q: %v, want ErrDenied", name, key, err)
				return ""
			}
			// Except for the name that the caller gave.
			words := strings.Fields(err.Error())
			if named := words[2]; named != key+":" && named != mustInspect(t, ct)+":" {
				t.Errorf("%s of %q: the error names %s", name, key, named)
			}
			words[2] = ""
			return strings.Join(words, " ")
		}
		want := told(k.ID, ct)
		for key, ct := range map[string][]byte{"invoices": ct, noID: noCT, "nobody": noCT, "?": noCT} {
			if got := told(key, ct); got != want {
				t.Errorf("%s of %q: error %q, want %q", name, key, got, want)
			}
		}
		if n := denials(t, owner, stranger.principal); n != 5 {
			t.Errorf("%s: %d refusals are recorded, want 5", name, n)
		}
		if name == "Decrypt" || name == "OpenDataKey" {
			continue // ErrCiphertext for every fault
		}
		if err := act(owner, "nobody", nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s by the owner: %v", name, err)
		}
	}
}

// mustInspect returns the key id that a ciphertext names.
func mustInspect(t *testing.T, ct []byte) string {
	t.Helper()
	in, err := Inspect(ct)
	if err != nil {
		t.Fatal(err)
	}
	return in.Key
}

// denials counts the denied requests of one principal.
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

// asked allows everything and keeps the last request.
type asked struct{ last Request }

func (a *asked) Authorize(_ context.Context, r Request) (Decision, error) {
	a.last = r
	return Decision{Allow: true}, nil
}

// TestUnknownKeyIsAuthorized: for an unknown key the request has the name that the caller
// gave.
func TestUnknownKeyIsAuthorized(t *testing.T) {
	a, cfg := &asked{}, testConfig()
	cfg.Authorizer = a
	v, _ := newTestVault(t, cfg)
	c, id := v.As("p"), keyid.New([16]byte{7})
	for name, want := range map[string]Request{id: {Key: id}, "nobody": {Alias: "nobody"}} {
		size := v.store.LogState().Size
		if err := second(c.DescribeKey(t.Context(), name)); !errors.Is(err, ErrNotFound) {
			t.Errorf("DescribeKey of %s: %v, want ErrNotFound", name, err)
		}
		if a.last.Key != want.Key || a.last.Alias != want.Alias || a.last.Tags != nil || a.last.Operation != OpDescribeKey {
			t.Errorf("the Authorizer got %+v, want %+v", a.last, want)
		}
		if got := v.store.LogState().Size; got != size+1 {
			t.Errorf("DescribeKey of a key that is not there left %d records, want 1", got-size)
		}
	}
}

// TestPrincipalsAreDistinct: a principal whose name is reserved in the audit log, or too
// long for its records, is denied everything, and cannot be the owner of a vault.
func TestPrincipalsAreDistinct(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	bad := []Principal{principalVault, principalMany, "bob\xff", Principal(strings.Repeat("x", maxPrincipal+1)), Principal(strings.Repeat("x", 33<<10))}
	for _, p := range bad {
		_, err := v.As(p).GenerateRandom(t.Context(), 1)
		if !errors.Is(err, ErrDenied) || len(err.Error()) > 200 {
			t.Errorf("GenerateRandom as %.20q: %v, want a short ErrDenied", p, err)
		}
		cfg := testConfig()
		cfg.Owner = p
		if _, err := Create(t.Context(), t.TempDir(), cfg, passphrase(t, "p")); !errors.Is(err, ErrInvalid) {
			t.Errorf("Create with the owner %.20q: %v, want ErrInvalid", p, err)
		}
	}
	cfg := testConfig()
	cfg.Owner = Principal("Müller " + strings.Repeat("x", maxPrincipal-8))
	v, err := Create(t.Context(), t.TempDir(), cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	mustKey(t, v.As(cfg.Owner), KeyOptions{})
	if err := errors.Join(v.As(cfg.Owner).Check(t.Context()), v.Close()); err != nil {
		t.Error(err)
	}
}

// TestAliasIsNoKeyID: an alias must not have the form of a key id, in capitals either.
func TestAliasIsNoKeyID(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	for _, alias := range []string{k.ID, strings.ToUpper(k.ID)} {
		if _, err := c.CreateKey(t.Context(), KeyOptions{Alias: alias}); !errors.Is(err, ErrInvalid) {
			t.Errorf("CreateKey with the alias %s: %v, want ErrInvalid", alias, err)
		}
	}
}

// TestErrorTextsAreOneShortLine: whatever a caller passes, the text of the error is one
// line of limited length.
func TestErrorTextsAreOneShortLine(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Spec: ECCP256})
	for _, evil := range []string{"a\nINFO all is well", "a\x1b[2J", "a\u2028b", "\xff", strings.Repeat("x", 1<<20)} {
		for name, err := range map[string]error{
			"key":       second(c.Encrypt(ctx, evil, nil, nil)),
			"principal": second(v.As(Principal(evil)).GenerateRandom(ctx, 1)),
			"alias":     second(c.CreateKey(ctx, KeyOptions{Alias: evil})),
			"new alias": c.SetAlias(ctx, k.ID, evil),
			"spec":      second(c.CreateKey(ctx, KeyOptions{Spec: KeySpec(evil)})),
			"origin":    second(c.CreateKey(ctx, KeyOptions{Origin: Origin(evil)})),
			"driver":    second(c.CreateKey(ctx, KeyOptions{Driver: evil})),
			"target":    second(c.MoveKey(ctx, k.ID, evil)),
			"protector": c.RemoveProtector(ctx, evil),
			"algorithm": second(c.Sign(ctx, k.ID, nil, SignOptions{Algorithm: SignAlgorithm(evil)})),
			"type":      second(c.Sign(ctx, k.ID, nil, SignOptions{MessageType: MessageType(evil)})),
			"wrapping":  second(c.ParametersForImport(ctx, mustKey(t, c, KeyOptions{Origin: OriginExternal}).ID, ImportRequest{Algorithm: WrappingAlgorithm(evil)})),
		} {
			if err == nil || len(err.Error()) > 1000 || !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\n\x1b\u2028") {
				t.Errorf("%s with %.20q: the error is not one short line: %.300q", name, evil, err)
			}
		}
	}
}
