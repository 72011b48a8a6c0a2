package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// meddlingAuthorizer is an Authorizer that allows everything, changes the maps of each
// request, and changes the caller's arguments while the operation runs.
type meddlingAuthorizer struct{ spoil func() }

func (m *meddlingAuthorizer) Authorize(_ context.Context, r Request) (Decision, error) {
	for _, given := range []map[string]string{r.Context, r.Tags, r.NewTags} {
		clear(given)
		if given != nil {
			given["changed"] = "by the authorizer"
		}
	}
	if m.spoil != nil {
		m.spoil()
	}
	return Decision{Allow: true}, nil
}

func spoilMap(m map[string]string) { clear(m); m["changed"] = "by the caller" }

func spoilBytes(all ...[]byte) {
	for _, b := range all {
		for i := range b {
			b[i] ^= 0xA5
		}
	}
}

// inputFixture has the keys and arguments of the calls of TestInputsAreCopied.
type inputFixture struct {
	Client
	vault                            *Vault
	a                                *meddlingAuthorizer
	plain                            []byte
	pairs                            EncryptionContext
	symmetric, signing, mac, private Key
	ct                               []byte // of plain, bound to pairs
}

// during runs f at each call of the Authorizer.
func (x *inputFixture) during(f func(), call func()) {
	x.a.spoil = f
	call()
	x.a.spoil = nil
}

func (x *inputFixture) context() EncryptionContext { return maps.Clone(x.pairs) }

// opens reports whether ct decrypts to the plaintext with the original pairs.
func (x *inputFixture) opens(t *testing.T, ct []byte, err error) bool {
	t.Helper()
	if err != nil {
		t.Error(err)
		return false
	}
	got, err := x.Decrypt(t.Context(), ct, x.pairs)
	return err == nil && bytes.Equal(got, x.plain)
}

// TestInputsAreCopied: if the caller's maps and slices, or the Authorizer's maps, change
// during an operation, the operation uses their values at its beginning.
func TestInputsAreCopied(t *testing.T) {
	x := &inputFixture{a: &meddlingAuthorizer{}, plain: []byte("4711"), pairs: EncryptionContext{"tenant": "7"}}
	cfg := testConfig()
	cfg.Authorizer = x.a
	x.vault, _ = newTestVault(t, cfg)
	x.Client = x.vault.As("user")
	x.symmetric = mustKey(t, x.Client, KeyOptions{Tags: map[string]string{"team": "red"}})
	x.signing = mustKey(t, x.Client, KeyOptions{Spec: ECCP256})
	x.mac = mustKey(t, x.Client, KeyOptions{Usage: GenerateVerifyMac, Spec: HMAC256})
	x.private = mustKey(t, x.Client, KeyOptions{Usage: AsymmetricDecrypt, Spec: RSA2048})
	var err error
	if x.ct, err = x.Encrypt(t.Context(), x.symmetric.ID, x.plain, x.pairs); err != nil {
		t.Fatal(err)
	}
	for _, use := range []func(*testing.T, *inputFixture){
		copiesOfEncryption, copiesOfDataKeys, copiesOfSignatures, copiesOfDecryption, copiesOfTags, copiesOfLists, copiesOfImports, copiesOfProtectors,
	} {
		use(t, x)
	}
	hashesAgree(t, x)
	k, err := x.DescribeKey(t.Context(), x.symmetric.ID)
	if err != nil || !maps.Equal(k.Tags, map[string]string{"team": "red"}) {
		t.Errorf("DescribeKey returned tags %v, %v after the Authorizer changed its copy of them, want team=red", k.Tags, err)
	}
}

// hashesAgree checks that the context hash of every record is that of the original context.
func hashesAgree(t *testing.T, x *inputFixture) {
	t.Helper()
	bound, err := x.pairs.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	want, n := x.vault.contextHash(bound), 0
	for r, err := range x.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(r.ContextHash) == 0 {
			continue
		}
		if n++; !bytes.Equal(r.ContextHash, want) {
			t.Errorf("the record of %s has another encryption context than was given", r.Operation)
		}
	}
	if n < 8 {
		t.Errorf("%d records with an encryption context, want 8 or more", n)
	}
}

func copiesOfEncryption(t *testing.T, x *inputFixture) {
	ctx := t.Context()
	plain, ec := bytes.Clone(x.plain), x.context()
	x.during(func() { spoilBytes(plain); spoilMap(ec) }, func() {
		if ct, err := x.Encrypt(ctx, x.symmetric.ID, plain, ec); !x.opens(t, ct, err) {
			t.Error("Encrypt encrypted other bytes, or under another context, than it was given")
		}
	})
	for name, decrypt := range map[string]func(ct []byte, ec EncryptionContext) ([]byte, error){
		"Decrypt": func(ct []byte, ec EncryptionContext) ([]byte, error) { return x.Decrypt(ctx, ct, ec) },
		"AppendDecrypt": func(ct []byte, ec EncryptionContext) ([]byte, error) {
			return x.AppendDecrypt(ctx, make([]byte, 0, 64), ct, ec)
		},
	} {
		ct, ec := bytes.Clone(x.ct), x.context()
		x.during(func() { spoilBytes(ct); spoilMap(ec) }, func() {
			if got, err := decrypt(ct, ec); err != nil || !bytes.Equal(got, x.plain) {
				t.Errorf("%s of a ciphertext that changes during the call: %q, %v", name, got, err)
			}
		})
	}
	ct, from, to := bytes.Clone(x.ct), x.context(), x.context()
	x.during(func() { spoilBytes(ct); spoilMap(from); spoilMap(to) }, func() {
		if out, err := x.ReEncrypt(ctx, ct, x.symmetric.ID, from, to); !x.opens(t, out, err) {
			t.Error("ReEncrypt used other bytes or contexts than it was given")
		}
	})
}

func copiesOfDataKeys(t *testing.T, x *inputFixture) {
	ctx := t.Context()
	ec := x.context()
	x.during(func() { spoilMap(ec) }, func() {
		k, err := x.GenerateDataKey(ctx, x.symmetric.ID, 32, ec)
		if err != nil {
			t.Error(err)
			return
		}
		defer k.Destroy()
		ec, ct := x.context(), bytes.Clone(k.Ciphertext())
		x.a.spoil = func() { spoilMap(ec); spoilBytes(ct) }
		again, err := x.OpenDataKey(ctx, ct, ec)
		if err != nil || !bytes.Equal(again.Ciphertext(), k.Ciphertext()) {
			t.Errorf("OpenDataKey of a ciphertext that changes during the call: %v, or it keeps the changed one", err)
		}
		again.Destroy()
	})
	ec = x.context()
	x.during(func() { spoilMap(ec) }, func() {
		ct, err := x.GenerateDataKeyWithoutPlaintext(ctx, x.symmetric.ID, 32, ec)
		if err == nil {
			_, err = x.Decrypt(ctx, ct, x.pairs)
		}
		if err != nil {
			t.Errorf("GenerateDataKeyWithoutPlaintext with a context that changes during the call: %v", err)
		}
	})
}

func copiesOfSignatures(t *testing.T, x *inputFixture) {
	ctx := t.Context()
	message := bytes.Clone(x.plain)
	var signature, mac []byte
	var err error
	x.during(func() { spoilBytes(message) }, func() { signature, err = x.Sign(ctx, x.signing.ID, message, SignOptions{}) })
	if ok, verr := x.Verify(ctx, x.signing.ID, x.plain, signature, SignOptions{}); err != nil || verr != nil || !ok {
		t.Errorf("Sign signed another message than it was given: %v, %v", err, verr)
	}
	message, given := bytes.Clone(x.plain), bytes.Clone(signature)
	x.during(func() { spoilBytes(message, given) }, func() {
		if ok, err := x.Verify(ctx, x.signing.ID, message, given, SignOptions{}); err != nil || !ok {
			t.Errorf("Verify of a message and signature that change during the call: %v, %v", ok, err)
		}
	})
	message = bytes.Clone(x.plain)
	x.during(func() { spoilBytes(message) }, func() { mac, err = x.GenerateMac(ctx, x.mac.ID, message) })
	if ok, verr := x.VerifyMac(ctx, x.mac.ID, x.plain, mac); err != nil || verr != nil || !ok {
		t.Errorf("GenerateMac took another message than it was given: %v, %v", err, verr)
	}
	message, given = bytes.Clone(x.plain), bytes.Clone(mac)
	x.during(func() { spoilBytes(message, given) }, func() {
		if ok, err := x.VerifyMac(ctx, x.mac.ID, message, given); err != nil || !ok {
			t.Errorf("VerifyMac of a message and MAC that change during the call: %v, %v", ok, err)
		}
	})
}

func copiesOfDecryption(t *testing.T, x *inputFixture) {
	p, err := x.PublicKey(t.Context(), x.private.ID)
	if err != nil {
		t.Fatal(err)
	}
	public, err := p.Parse()
	if err != nil {
		t.Fatal(err)
	}
	ct, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), x.plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	x.during(func() { spoilBytes(ct) }, func() {
		if got, err := x.AsymmetricDecrypt(t.Context(), x.private.ID, ct, RSAESOAEPSHA256); err != nil || !bytes.Equal(got, x.plain) {
			t.Errorf("AsymmetricDecrypt of a ciphertext that changes during the call: %q, %v", got, err)
		}
	})
}

func copiesOfTags(t *testing.T, x *inputFixture) {
	ctx, tags, want := t.Context(), map[string]string{"a": "1"}, map[string]string{"a": "1"}
	var k Key
	x.during(func() { spoilMap(tags) }, func() { k = mustKey(t, x.Client, KeyOptions{Tags: tags}) })
	if got, err := x.DescribeKey(ctx, k.ID); err != nil || !maps.Equal(got.Tags, want) {
		t.Errorf("CreateKey gave the key tags %v, %v, want %v", got.Tags, err, want)
	}
	tags, want["b"] = map[string]string{"b": "2"}, "2"
	x.during(func() { spoilMap(tags) }, func() {
		if err := x.TagKey(ctx, k.ID, tags); err != nil {
			t.Error(err)
		}
	})
	if got, err := x.DescribeKey(ctx, k.ID); err != nil || !maps.Equal(got.Tags, want) {
		t.Errorf("TagKey left tags %v, %v, want %v", got.Tags, err, want)
	}
	names := []string{"a"}
	x.during(func() { names[0] = "b" }, func() {
		if err := x.UntagKey(ctx, k.ID, names...); err != nil {
			t.Error(err)
		}
	})
	delete(want, "a")
	if got, err := x.DescribeKey(ctx, k.ID); err != nil || !maps.Equal(got.Tags, want) {
		t.Errorf("UntagKey left tags %v, %v, want %v", got.Tags, err, want)
	}
	filter := KeyFilter{Tags: map[string]string{"b": "2"}}
	x.during(func() { spoilMap(filter.Tags) }, func() {
		n := 0
		for _, err := range x.ListKeys(ctx, filter) {
			if n++; err != nil {
				t.Error(err)
			}
		}
		if n != 1 {
			t.Errorf("ListKeys with a filter that changes during the call yielded %d keys, want 1", n)
		}
	})
}

func copiesOfLists(t *testing.T, x *inputFixture) {
	ctx := t.Context()
	one, two, bystander := mustKey(t, x.Client, KeyOptions{}).ID, mustKey(t, x.Client, KeyOptions{}).ID, mustKey(t, x.Client, KeyOptions{}).ID
	keys := []string{one, two}
	swap := func() { keys[0], keys[1] = bystander, bystander }
	x.during(swap, func() {
		if got, err := x.DescribeKeys(ctx, keys...); err != nil || len(got) != 2 || got[0].ID != one || got[1].ID != two {
			t.Errorf("DescribeKeys of a list that changes during the call: %d keys, %v", len(got), err)
		}
	})
	for name, set := range map[string]func(context.Context, ...string) error{"EnableKeys": x.EnableKeys, "DisableKeys": x.DisableKeys} {
		keys = []string{one, two}
		x.during(swap, func() {
			if err := set(ctx, keys...); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	if k, err := x.DescribeKey(ctx, bystander); err != nil || k.State != Enabled {
		t.Errorf("a key that was not named is %s, %v, want Enabled", k.State, err)
	}
}

func copiesOfImports(t *testing.T, x *inputFixture) {
	k := newExternal(t, x.Client)
	m := newImportFixture(t, x.Client, k, ownKey(9)).material()
	m.Token, m.EncryptedMaterial = bytes.Clone(m.Token), bytes.Clone(m.EncryptedMaterial)
	x.during(func() { spoilBytes(m.Token, m.EncryptedMaterial) }, func() {
		if _, err := x.ImportKeyMaterial(t.Context(), k.ID, m); err != nil {
			t.Errorf("ImportKeyMaterial of material that changes during the call: %v", err)
		}
	})
}

func copiesOfProtectors(t *testing.T, x *inputFixture) {
	dead := &nilProtector{}
	protectors := []driver.Protector{passphrase(t, "correct horse")}
	spoil := func() { protectors[0] = dead }
	x.during(spoil, func() {
		if _, err := x.Backup(t.Context(), io.Discard, BackupOptions{}, protectors...); err != nil {
			t.Errorf("Backup to protectors that change during the call: %v", err)
		}
	})
	protectors[0] = passphrase(t, "correct horse")
	x.during(spoil, func() {
		if err := x.RotateRoot(t.Context(), protectors...); err != nil {
			t.Errorf("RotateRoot to protectors that change during the call: %v", err)
		}
	})
}

// nilProtector panics in every method.
type nilProtector struct{ driver.Protector }

// TestNothingIsReleasedBeforeTheRecord checks the caller's memory while the record is
// written and after writing it failed: it holds no result.
func TestNothingIsReleasedBeforeTheRecord(t *testing.T) {
	engine, cfg := storetest.NewMemory(), testConfig()
	cfg.openEngine = func(dir string) (keystore.Engine, error) { return engine.Open(dir) }
	v, err := Create(t.Context(), filepath.Join(t.TempDir(), "v"), cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	plain := bytes.Repeat([]byte("secret"), 50)
	ct, err := c.Encrypt(ctx, k.ID, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	memory := make([]byte, len(ct)+8)
	for name, row := range map[string]struct{ dst, ct []byte }{
		"apart":             {memory[:4], ct},
		"in the ciphertext": {nil, nil}, // see below
	} {
		clear(memory)
		if row.ct == nil {
			row.ct = append(memory[:0], ct...)
			row.dst = row.ct[:0]
		}
		before := bytes.Clone(memory)
		seen := 0
		engine.Fault(func(keystore.Batch) error {
			if seen++; !bytes.Equal(memory, before) {
				t.Errorf("%s: AppendDecrypt wrote to the caller's memory before the record", name)
			}
			return keystore.ErrFull
		})
		if got, err := c.AppendDecrypt(ctx, row.dst, row.ct, nil); !errors.Is(err, ErrStorageFull) || got != nil {
			t.Errorf("%s: AppendDecrypt on a full disk returned %d bytes, %v, want ErrStorageFull", name, len(got), err)
		}
		if seen == 0 || !bytes.Equal(memory, before) {
			t.Errorf("%s: after AppendDecrypt on a full disk the caller's memory is changed (%d commits tried)", name, seen)
		}
		engine.Fault(nil)
		if got, err := c.AppendDecrypt(ctx, row.dst, row.ct, nil); err != nil || !bytes.Equal(got[len(row.dst):], plain) {
			t.Errorf("%s: AppendDecrypt with room again: %v", name, err)
		}
	}
}

// TestInputsAreBounded calls each method with a very large input. The call must be rejected
// before the commit, because other operations would wait for it.
func TestInputsAreBounded(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k, external := mustKey(t, c, KeyOptions{Alias: "k"}), newExternal(t, c)
	pair, mac := mustKey(t, c, KeyOptions{Spec: ECCP256}), mustKey(t, c, KeyOptions{Usage: GenerateVerifyMac, Spec: HMAC256})
	many := map[string]string{}
	for i := range 100_000 {
		many[string(rune('a'+i%26))+string(binaryName(i))] = "x"
	}
	long, big := map[string]string{"n": string(make([]byte, 1<<20))}, make([]byte, 8<<20)
	names := slices.Collect(maps.Keys(many))
	all := make([]driver.Protector, keystore.MaxProtectors+1)
	for i := range all {
		all[i] = &nilProtector{}
	}
	listing := func(f KeyFilter) (err error) {
		for _, err = range c.ListKeys(ctx, f) {
		}
		return err
	}
	for name, call := range map[string]func() error{
		"Encrypt, plaintext":       func() error { return second(c.Encrypt(ctx, k.ID, big, nil)) },
		"Encrypt, pairs":           func() error { return second(c.Encrypt(ctx, k.ID, nil, many)) },
		"Encrypt, value":           func() error { return second(c.Encrypt(ctx, k.ID, nil, long)) },
		"ReEncrypt, pairs":         func() error { return second(c.ReEncrypt(ctx, nil, k.ID, nil, many)) },
		"GenerateDataKey, pairs":   func() error { return second(c.GenerateDataKey(ctx, k.ID, 32, many)) },
		"GenerateDataKey, size":    func() error { return second(c.GenerateDataKey(ctx, k.ID, 1<<30, nil)) },
		"without plaintext, pairs": func() error { return second(c.GenerateDataKeyWithoutPlaintext(ctx, k.ID, 32, many)) },
		"GenerateRandom":           func() error { return second(c.GenerateRandom(ctx, 1<<30)) },
		"Sign, message":            func() error { return second(c.Sign(ctx, pair.ID, big, SignOptions{})) },
		"Sign, digest":             func() error { return second(c.Sign(ctx, pair.ID, big, SignOptions{MessageType: Digest})) },
		"Sign, id":                 func() error { return second(c.Sign(ctx, pair.ID, nil, SignOptions{SM2ID: big})) },
		"Verify, message":          func() error { return second(c.Verify(ctx, pair.ID, big, nil, SignOptions{})) },
		"GenerateMac":              func() error { return second(c.GenerateMac(ctx, mac.ID, big)) },
		"VerifyMac":                func() error { return second(c.VerifyMac(ctx, mac.ID, big, nil)) },
		"CreateKey, tags":          func() error { return second(c.CreateKey(ctx, KeyOptions{Tags: many})) },
		"CreateKey, tag":           func() error { return second(c.CreateKey(ctx, KeyOptions{Tags: long})) },
		"CreateKey, description":   func() error { return second(c.CreateKey(ctx, KeyOptions{Description: string(big)})) },
		"CreateKey, alias":         func() error { return second(c.CreateKey(ctx, KeyOptions{Alias: string(big)})) },
		"SetAlias":                 func() error { return c.SetAlias(ctx, k.ID, string(big)) },
		"MoveAlias":                func() error { return c.MoveAlias(ctx, string(big), k.ID) },
		"SetDescription":           func() error { return c.SetDescription(ctx, k.ID, string(big)) },
		"TagKey, tags":             func() error { return c.TagKey(ctx, k.ID, many) },
		"TagKey, tag":              func() error { return c.TagKey(ctx, k.ID, long) },
		"UntagKey":                 func() error { return c.UntagKey(ctx, k.ID, names...) },
		"DescribeKeys":             func() error { return second(c.DescribeKeys(ctx, names...)) },
		"EnableKeys":               func() error { return c.EnableKeys(ctx, names...) },
		"DisableKeys":              func() error { return c.DisableKeys(ctx, names...) },
		"ListKeys, tags":           func() error { return listing(KeyFilter{Tags: many}) },
		"ListKeys, tag":            func() error { return listing(KeyFilter{Tags: long}) },
		"ImportKeyMaterial": func() error {
			return second(c.ImportKeyMaterial(ctx, external.ID, ImportMaterial{EncryptedMaterial: big}))
		},
		"RotateRoot": func() error { return c.RotateRoot(ctx, all...) },
		"Backup":     func() error { return second(c.Backup(ctx, io.Discard, BackupOptions{}, all...)) },
	} {
		if err := call(); !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %.300v, want ErrTooLarge or ErrInvalid", name, err)
		}
	}
	if err := second(c.Decrypt(ctx, big, nil)); !errors.Is(err, ErrCiphertext) {
		t.Errorf("Decrypt of 8 MiB: %v, want ErrCiphertext", err)
	}
	if ok, err := c.Verify(ctx, pair.ID, nil, big, SignOptions{}); ok || err != nil {
		t.Errorf("Verify of a signature of 8 MiB: %v, %v, want false", ok, err)
	}
}

// binaryName returns a short name that is unique for i.
func binaryName(i int) []byte {
	return []byte{byte('0' + i>>14&15), byte('0' + i>>10&15), byte('0' + i>>5&31), byte('0' + i&31)}
}
