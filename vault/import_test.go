package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/keywrap"
	"strongroom.example/internal/testing/fakedriver"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/wrapping"
)

// importFixture is material wrapped for import into a CMK.
type importFixture struct {
	plain      []byte
	parameters ImportParameters
	wrapped    []byte
}

// newImportFixture requests parameters and wraps material with them, as its owner does.
func newImportFixture(t testing.TB, c Client, k Key, plain []byte) *importFixture {
	t.Helper()
	return requestImport(t, c, k.ID, plain, ImportRequest{})
}

func requestImport(t testing.TB, c Client, key string, plain []byte, r ImportRequest) *importFixture {
	t.Helper()
	p, err := c.ParametersForImport(t.Context(), key, r)
	if err != nil {
		t.Fatal(err)
	}
	return &importFixture{plain, p, wrapFor(t, p, plain)}
}

// material returns the argument for ImportKeyMaterial.
func (p *importFixture) material() ImportMaterial {
	if p == nil {
		return ImportMaterial{}
	}
	return ImportMaterial{Token: p.parameters.Token, EncryptedMaterial: p.wrapped}
}

// renew restores a CMK's material and the fixture's token, whatever was done to them.
func (p *importFixture) renew(t *testing.T, v *Vault, k Key) {
	t.Helper()
	if p == nil {
		return
	}
	state, err := v.importOf(t.Context(), k.ID)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := v.tokens().Open(p.parameters.Token)
	if err != nil {
		t.Fatal(err)
	}
	ver, err := v.records.version(t.Context(), k.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	if ver.Material != "" && !state.Newest.Gone && state.Newest.Serial == tok.Serial.String() {
		return
	}
	forceState(t, v, k, PendingImport)
	*p = *newImportFixture(t, v.As(DefaultOwner), k, p.plain)
	if _, err := v.As(DefaultOwner).ImportKeyMaterial(t.Context(), k.ID, p.material()); err != nil {
		t.Fatal(err)
	}
}

// wrapFor wraps with Go's own libraries; TestImportFromOpenSSL uses openssl.
func wrapFor(t testing.TB, p ImportParameters, plain []byte) []byte {
	t.Helper()
	out, err := wrapped(p, plain)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wrapped is wrapFor for use in goroutines.
func wrapped(p ImportParameters, plain []byte) (out []byte, err error) {
	public, err := p.PublicKey.Parse()
	if err != nil {
		return nil, err
	}
	oaep := func(plain []byte) ([]byte, error) {
		if p.Algorithm == WrapRSAESOAEPSHA1 || p.Algorithm == WrapRSAAESSHA1 {
			return rsa.EncryptOAEP(sha1.New(), rand.Reader, public.(*rsa.PublicKey), plain, nil)
		}
		return rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), plain, nil)
	}
	switch p.Algorithm {
	case WrapRSAESPKCS1V15:
		//lint:ignore SA1019 what the vault unwraps has to be made
		return rsa.EncryptPKCS1v15(rand.Reader, public.(*rsa.PublicKey), plain)
	case WrapSM2:
		return sm2.EncryptASN1(rand.Reader, public.(*ecdsa.PublicKey), plain)
	case WrapRSAAESSHA1, WrapRSAAESSHA256:
		key := make([]byte, 2*aes.BlockSize)
		rand.Read(key)
		if out, err = oaep(key); err != nil {
			return nil, err
		}
		return keywrap.Wrap(out, key, plain)
	}
	return oaep(plain)
}

// newMaterial makes material as an owner has it: random bytes, or PKCS #8.
func newMaterial(t testing.TB, c Client, row specRow) []byte {
	t.Helper()
	spec := row.device(c.vault.suite)
	if wrapping.Symmetric(spec) {
		plain := make([]byte, wrapping.MaterialSize(spec, row.spec == Symmetric, c.vault.cfg.Edition))
		rand.Read(plain)
		return plain
	}
	return privateKey(t, spec)
}

// privateKey generates a private key with a separate software engine and exports it.
func privateKey(t testing.TB, spec driver.KeySpec) []byte {
	t.Helper()
	d, err := soft.Open(t.Context(), soft.Config{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	made, err := d.GenerateKey(t.Context(), driver.MaterialID{1}, spec)
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.ExportMaterial(t.Context(), soft.Material{ID: driver.MaterialID{1}, Spec: spec, Blob: made.Blob}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// countRecords returns the contents of a vault, by path and version, without those that every
// attempt changes: the audit log, the clock and the count of attempts.
func countRecords(v *Vault) map[string]uint64 {
	out := map[string]uint64{}
	for _, prefix := range []string{"key/", "alias/", "version/", "material/", "intent/", "imported/"} {
		for _, path := range v.store.Paths(prefix) {
			out[path] = v.store.Version(path)
		}
	}
	return out
}

// newClockVault makes a vault with a clock that the test sets.
func newClockVault(t *testing.T) (*Vault, Client, *clock.Fake, string) {
	t.Helper()
	fake := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	v, dir := newTestVault(t, Config{Edition: testEdition(), Clock: fake})
	return v, v.As(DefaultOwner), fake, dir
}

func newExternal(t testing.TB, c Client) Key {
	t.Helper()
	return mustKey(t, c, KeyOptions{Origin: OriginExternal})
}

// ownKey returns material of the size that a symmetric CMK of the edition has.
func ownKey(b byte) []byte {
	n := 32
	if testEdition() == SM {
		n = 16
	}
	return bytes.Repeat([]byte{b}, n)
}

func mustImport(t testing.TB, c Client, key string, m ImportMaterial) Key {
	t.Helper()
	k, err := c.ImportKeyMaterial(t.Context(), key, m)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestImportLifecycle: a CMK is pending, imported, deleted and imported again. Then earlier
// ciphertexts can be decrypted again, also after a restart.
func TestImportLifecycle(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Alias: "mine"})
	if k.State != PendingImport || k.Version != 0 || k.Origin != OriginExternal {
		t.Fatalf("CreateKey of EXTERNAL: %+v", k)
	}
	if versions, err := c.ListKeyVersions(ctx, "mine"); err != nil || len(versions) != 0 {
		t.Errorf("%d versions before the first import, %v", len(versions), err)
	}
	if _, err := c.Encrypt(ctx, "mine", nil, nil); !errors.Is(err, ErrKeyState) {
		t.Errorf("Encrypt without material: %v, want ErrKeyState", err)
	}
	one := newImportFixture(t, c, k, ownKey(1))
	k = mustImport(t, c, "mine", one.material())
	if k.State != Enabled || k.Version != 1 {
		t.Errorf("the key after the import is %+v", k)
	}
	ct, err := c.Encrypt(ctx, "mine", []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RotateKey(ctx, "mine"); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "re-encrypt") {
		t.Errorf("RotateKey: %v, want ErrUnsupported with the remedy", err)
	}
	mustImport(t, c, "mine", one.material()) // the token is valid for more than one import
	v = reopen(t, v, dir)
	c = v.As(DefaultOwner)
	if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt after a restart: %q, error %v", got, err)
	}
	mustImport(t, c, "mine", one.material())
	if err := c.DeleteImportedKeyMaterial(ctx, "mine"); err != nil {
		t.Fatal(err)
	}
	v = reopen(t, v, dir)
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	if k, err := c.DescribeKey(ctx, "mine"); err != nil || k.State != PendingImport || k.Version != 1 {
		t.Errorf("DescribeKey after the deletion: %+v, error %v", k, err)
	}
	if _, err := c.Decrypt(ctx, ct, nil); !errors.Is(err, ErrKeyState) {
		t.Errorf("Decrypt after the deletion: %v, want ErrKeyState", err)
	}
	if _, err := c.ImportKeyMaterial(ctx, "mine", one.material()); !errors.Is(err, ErrImportToken) {
		t.Errorf("a token that ended with its material: %v", err)
	}
	other := newImportFixture(t, c, k, ownKey(2))
	if _, err := c.ImportKeyMaterial(ctx, "mine", other.material()); !errors.Is(err, ErrOtherMaterial) || !errors.Is(err, ErrImport) || errors.Is(err, ErrImportToken) {
		t.Errorf("ImportKeyMaterial of other material: %v, want ErrOtherMaterial, which is an ErrImport", err)
	}
	mustImport(t, c, "mine", newImportFixture(t, c, k, ownKey(1)).material())
	if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt after another import: %q, error %v", got, err)
	}
	if versions, err := c.ListKeyVersions(ctx, "mine"); err != nil || len(versions) != 1 || versions[0].Origin != OriginExternal {
		t.Errorf("ListKeyVersions: %+v, error %v", versions, err)
	}
}

func reopen(t *testing.T, v *Vault, dir string) *Vault {
	t.Helper()
	closeChecked(t, v)
	cfg := v.cfg
	v, err := Open(t.Context(), dir, cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestImportRefused: each wrong import returns its error, changes nothing except the count
// of attempts, and is recorded.
func TestImportRefused(t *testing.T) {
	v, c, fake, _ := newClockVault(t)
	ctx := t.Context()
	k, stranger := newExternal(t, c), newExternal(t, c)
	good := newImportFixture(t, c, k, ownKey(1))
	older := good.material()
	good = newImportFixture(t, c, k, ownKey(1))
	foreign := newImportFixture(t, c, stranger, ownKey(1)).material()
	foreign.EncryptedMaterial = good.wrapped
	with := func(change func(*ImportMaterial)) ImportMaterial {
		m := good.material()
		m.Token, m.EncryptedMaterial = bytes.Clone(m.Token), bytes.Clone(m.EncryptedMaterial)
		change(&m)
		return m
	}
	inner := func(n int) ImportMaterial {
		return with(func(m *ImportMaterial) { m.EncryptedMaterial = wrapFor(t, good.parameters, make([]byte, n)) })
	}
	by := func(alg WrappingAlgorithm) ImportMaterial {
		other := good.parameters
		other.Algorithm = alg
		return with(func(m *ImportMaterial) { m.EncryptedMaterial = wrapFor(t, other, good.plain) })
	}
	otherAlgorithm := by(WrapRSAAESSHA256)
	if editionrules.Excluded(testEdition(), WrapRSAESPKCS1V15) == nil {
		otherAlgorithm = by(WrapRSAESPKCS1V15)
	}
	for name, row := range map[string]struct {
		m    ImportMaterial
		want error
		say  string
	}{
		"other algorithm":    {otherAlgorithm, ErrImport, "unwrap"},
		"longer algorithm":   {by(WrapRSAAESSHA256), ErrImport, "unwrap"},
		"older token":        {older, ErrImportToken, "newer"},
		"other CMK's token":  {foreign, ErrImportToken, "another CMK"},
		"no token":           {with(func(m *ImportMaterial) { m.Token = nil }), ErrImportToken, "an import token"},
		"truncated token":    {with(func(m *ImportMaterial) { m.Token = m.Token[:60] }), ErrImportToken, "an import token"},
		"forged algorithm":   {with(func(m *ImportMaterial) { m.Token[5]++ }), ErrImportToken, "an import token"},
		"forged date":        {with(func(m *ImportMaterial) { m.Token[47]++ }), ErrImportToken, "an import token"},
		"truncated material": {with(func(m *ImportMaterial) { m.EncryptedMaterial = m.EncryptedMaterial[:200] }), ErrImport, "unwrap"},
		"no material":        {with(func(m *ImportMaterial) { m.EncryptedMaterial = nil }), ErrImport, "unwrap"},
		"longer ciphertext":  {with(func(m *ImportMaterial) { m.EncryptedMaterial = append(m.EncryptedMaterial, 0) }), ErrImport, "unwrap"},
		"flipped bit":        {with(func(m *ImportMaterial) { m.EncryptedMaterial[9] ^= 4 }), ErrImport, "unwrap"},
		"oversized":          {with(func(m *ImportMaterial) { m.EncryptedMaterial = make([]byte, 1<<20) }), ErrTooLarge, ""},
		"31 bytes inside":    {inner(31), ErrImport, "unwrap"},
		"33 bytes inside":    {inner(33), ErrImport, "unwrap"},
		"24 bytes inside":    {inner(24), ErrImport, "unwrap"},
		"8 bytes inside":     {inner(8), ErrImport, "unwrap"},
		"no bytes inside":    {inner(0), ErrImport, "unwrap"},
		"ValidTo past":       {with(func(m *ImportMaterial) { m.ValidTo = fake.Now() }), ErrInvalid, "ValidTo"},
		"ValidTo in 10000":   {with(func(m *ImportMaterial) { m.ValidTo = fake.Now().AddDate(9000, 0, 0) }), ErrInvalid, "ValidTo"},
	} {
		before := countRecords(v)
		_, err := c.ImportKeyMaterial(ctx, k.ID, row.m)
		if !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.say) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
		if row.want != ErrImportToken && errors.Is(err, ErrImportToken) || row.want == ErrImportToken && !errors.Is(err, ErrImport) || errors.Is(err, ErrOtherMaterial) {
			t.Errorf("%s: ImportKeyMaterial: %v, which is of another kind than %v", name, err, row.want)
		}
		if after := countRecords(v); !maps.Equal(before, after) {
			t.Errorf("%s changed the vault: %v, then %v", name, before, after)
		}
		if got := lastRecord(t, c, OpImportKeyMaterial); got.Result != audit.Failed || got.Error != errorName(row.want) {
			t.Errorf("%s: the record has %s %s", name, got.Result, got.Error)
		}
		resetAttempts(t, v, k.ID)
	}
	if k := mustImport(t, c, k.ID, good.material()); k.State != Enabled {
		t.Errorf("the key after the import is %+v", k)
	}
}

// lastRecord returns the newest record of an operation that is not an intent.
func lastRecord(t *testing.T, c Client, op Operation) (last audit.Record) {
	t.Helper()
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{Operation: string(op)}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Phase != audit.Intent {
			last = r
		}
	}
	return last
}

// resetAttempts resets the count of failed attempts, so that a test can make more.
func resetAttempts(t *testing.T, v *Vault, key string) {
	t.Helper()
	err := v.store.Commit(t.Context(), func(tx *keystore.Tx) error {
		state, err := getImport(tx, key)
		if err == nil {
			state.Newest.Failed = 0
			tx.Put(importPathOf(key), encode(state))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestImportEverySpec: a CMK of each spec imports its owner's material and works.
func TestImportEverySpec(t *testing.T) {
	t.Parallel()
	for _, row := range specTable {
		if row.spec == RSA3072 || row.spec == RSA4096 {
			continue // TestPrivateKeysFromOpenSSL covers RSA-4096
		}
		t.Run(string(row.spec)+"/"+string(row.usage), func(t *testing.T) {
			t.Parallel()
			needs(t, row.spec)
			v, _ := newTestVault(t, testConfig())
			c := v.As(DefaultOwner)
			mustKey(t, c, KeyOptions{Alias: "target"})
			s := newSubject(t, c, row, OriginExternal)
			if err := c.DeleteImportedKeyMaterial(t.Context(), s.key.ID); err != nil {
				t.Fatal(err)
			}
			s.parcel.renew(t, v, s.key)
			for _, op := range []Operation{OpDecrypt, OpSign, OpVerify, OpAsymmetricDecrypt, OpGenerateMac, OpVerifyMac} {
				if row.usage.allows(op) {
					if err := acts[op](t.Context(), c, s); err != nil {
						t.Errorf("%s: %v", op, err)
					}
				}
			}
		})
	}
}

// TestChooseWrap: the requested algorithm fits the material, or the error names the right
// ones.
func TestChooseWrap(t *testing.T) {
	prf, sign := driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}, driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}
	for _, row := range []struct {
		r    ImportRequest
		spec driver.KeySpec
		e    Edition
		alg  WrappingAlgorithm
		want error
	}{
		{ImportRequest{}, prf, Standard, WrapRSAESOAEPSHA256, nil},
		{ImportRequest{}, prf, FIPS, WrapRSAESOAEPSHA256, nil},
		{ImportRequest{}, prf, SM, WrapRSAESOAEPSHA256, nil},
		{ImportRequest{}, sign, Standard, WrapRSAAESSHA256, nil},
		{ImportRequest{Path: PathDevice}, prf, Standard, WrapRSAESOAEPSHA256, nil},
		{ImportRequest{Path: PathDevice}, sign, Standard, WrapRSAAESSHA256, nil},
		{ImportRequest{WrappingKeySpec: SM2}, prf, SM, WrapSM2, nil},
		{ImportRequest{Algorithm: WrapSM2}, prf, SM, WrapSM2, nil},
		{ImportRequest{Algorithm: WrapRSAAESSHA1}, prf, Standard, WrapRSAAESSHA1, nil},
		{ImportRequest{WrappingKeySpec: RSA2048, Algorithm: WrapRSAESPKCS1V15}, prf, SM, WrapRSAESPKCS1V15, nil},
		{ImportRequest{WrappingKeySpec: SM2}, prf, FIPS, "", ErrUnsupported},
		{ImportRequest{Algorithm: WrapRSAESPKCS1V15}, prf, FIPS, "", ErrUnsupported},
		{ImportRequest{Algorithm: WrapRSAESOAEPSHA1}, prf, FIPS, "", ErrUnsupported},
		{ImportRequest{Algorithm: WrapRSAAESSHA1}, sign, FIPS, "", ErrUnsupported},
		{ImportRequest{Algorithm: WrapRSAESOAEPSHA256}, sign, Standard, "", ErrInvalid},
		{ImportRequest{WrappingKeySpec: SM2}, sign, SM, "", ErrInvalid},
		{ImportRequest{WrappingKeySpec: RSA4096}, prf, Standard, "", ErrInvalid},
		{ImportRequest{WrappingKeySpec: SM2, Algorithm: WrapRSAESPKCS1V15}, prf, SM, "", ErrInvalid},
		{ImportRequest{Algorithm: "ROT13"}, prf, Standard, "", ErrInvalid},
	} {
		got, err := wrapping.Choose(row.r.wrapping(), row.spec, row.e)
		if !errors.Is(err, row.want) || row.want == nil && (err != nil || got[0].Algorithm != string(row.alg)) {
			t.Errorf("%+v for %s in %v: %v, %v; want %s, %v", row.r, row.spec, row.e, got, err, row.alg, row.want)
		}
	}
}

// TestExternalOnDriverThatDoesNotImport: the CMK is made on the software engine, or
// rejected if the caller named the driver.
func TestExternalOnDriverThatDoesNotImport(t *testing.T) {
	device := drivertest.NewMemory(driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign})
	noImport := func(info *driver.Info) {
		for i := range info.Specs {
			info.Specs[i].Import, info.Specs[i].WrappedImport = false, nil
		}
	}
	v, _ := newTestVault(t, deviceConfig(&fakedriver.Driver{Device: device, OnInfo: noImport}))
	c := v.As(DefaultOwner)
	if k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: ECCP256}); k.Driver != softDriver {
		t.Errorf("CreateKey: driver %s, want soft", k.Driver)
	}
	if _, err := c.CreateKey(t.Context(), KeyOptions{Origin: OriginExternal, Spec: ECCP256, Driver: "hsm"}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("CreateKey with the driver named: %v, want ErrUnsupported", err)
	}
	if _, err := c.CreateKey(t.Context(), KeyOptions{Origin: "FOUND"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("CreateKey with an unknown origin: %v, want ErrInvalid", err)
	}
}

// TestDeleteRacesEncrypt: nothing is encrypted after an acknowledged deletion, all callers
// get the same error, and earlier ciphertexts decrypt again after an import.
func TestDeleteRacesEncrypt(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := newExternal(t, c)
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
	var wg sync.WaitGroup
	var gone atomic.Bool
	var made atomic.Int32
	released := make([][][]byte, 8)
	for i := range released {
		wg.Go(func() {
			for {
				late := gone.Load()
				ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
				if err != nil {
					if !errors.Is(err, ErrKeyState) {
						t.Errorf("while it is destroyed: %v", err)
					}
					return
				}
				if late {
					t.Error("a key was used after an acknowledged deletion")
				}
				released[i] = append(released[i], ct)
				made.Add(1)
			}
		})
	}
	poll.Until(t, "the callers encrypt", func() bool { return made.Load() >= 50 })
	if err := c.DeleteImportedKeyMaterial(ctx, k.ID); err != nil {
		t.Error(err)
	}
	gone.Store(true)
	wg.Wait()
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
	for _, cts := range released {
		for _, ct := range cts {
			if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
				t.Fatalf("Decrypt: %q, error %v", got, err)
			}
		}
	}
}

// TestAuditHasNoMaterial: the audit log does not contain material, wrapped or not, in any
// encoding.
func TestAuditHasNoMaterial(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	p := newImportFixture(t, c, k, randomBytes(len(ownKey(0))))
	mustImport(t, c, k.ID, p.material())
	var log bytes.Buffer
	if err := c.ExportAudit(t.Context(), &log); err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{"material": p.plain, "wrapped": p.wrapped[:48], "token": p.parameters.Token[:48]} {
		for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret)[:20]} {
			if strings.Contains(log.String(), form) {
				t.Errorf("the audit log contains %s", name)
			}
		}
	}
	if r := lastRecord(t, c, OpImportKeyMaterial); r.Detail["path"] != string(PathHost) || r.Detail["algorithm"] == "" {
		t.Errorf("the record of the import is %+v", r)
	}
}
