package vault

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/vault/internal/importtoken"
	"strongroom.example/vault/internal/wrapping"
)

// TestKeyFaultsDoNotCount: material that unwraps by AES-KWP but has a wrong length is
// rejected with an error that names the length, and does not count as a failed attempt.
// Material that does not unwrap counts.
func TestKeyFaultsDoNotCount(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	p := requestImport(t, c, k.ID, ownKey(1), ImportRequest{Algorithm: WrapRSAAESSHA256})
	for range importtoken.MaxAttempts + 1 {
		m := p.material()
		m.EncryptedMaterial = wrapFor(t, p.parameters, append(ownKey(1), 0))
		refusedImport(t, c, k.ID, m, "bytes, the CMK needs")
	}
	bad := p.material()
	bad.EncryptedMaterial = append([]byte(nil), bad.EncryptedMaterial...)
	bad.EncryptedMaterial[300-32] ^= 1
	for range importtoken.MaxAttempts {
		if _, err := c.ImportKeyMaterial(t.Context(), k.ID, bad); !errors.Is(err, wrapping.ErrMaterial) {
			t.Errorf("ImportKeyMaterial of what does not unwrap: %v, want %v", err, wrapping.ErrMaterial)
		}
	}
	if _, err := c.ImportKeyMaterial(t.Context(), k.ID, p.material()); !errors.Is(err, ErrImportToken) || !strings.Contains(err.Error(), "failed attempts") {
		t.Errorf("ImportKeyMaterial after %d tries that did not unwrap: %v, want ErrImportToken", importtoken.MaxAttempts, err)
	}
	mustImport(t, c, k.ID, requestImport(t, c, k.ID, ownKey(1), ImportRequest{Algorithm: WrapRSAAESSHA256}).material())
}

// TestImportPathDemanded: a requested path is used, or rejected with the reason.
func TestImportPathDemanded(t *testing.T) {
	t.Parallel()
	c, _, _, _ := newImportDevice(t)
	symmetric, private := newExternal(t, c), mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: ECCP256})
	soft := mustKey(t, c, KeyOptions{Origin: OriginExternal, Driver: softDriver})
	for _, row := range []struct {
		key  Key
		r    ImportRequest
		path ImportPath
		want error
		say  string
	}{
		{symmetric, ImportRequest{}, PathDevice, nil, ""},
		{symmetric, ImportRequest{Path: PathAuto}, PathDevice, nil, ""},
		{symmetric, ImportRequest{Path: PathDevice}, PathDevice, nil, ""},
		{symmetric, ImportRequest{Path: PathHost}, PathHost, nil, ""},
		{symmetric, ImportRequest{Path: PathDevice, Algorithm: WrapRSAAESSHA256}, "", ErrUnsupported, "inside its device by"},
		{symmetric, ImportRequest{Path: "MOON"}, "", ErrInvalid, "MOON"},
		{private, ImportRequest{}, PathHost, nil, ""},
		{private, ImportRequest{Path: PathDevice}, "", ErrUnsupported, "EC_P256/SIGN"},
		{soft, ImportRequest{Path: PathDevice}, "", ErrUnsupported, "soft driver does not unwrap"},
		{soft, ImportRequest{}, PathHost, nil, ""},
	} {
		p, err := c.ParametersForImport(t.Context(), row.key.ID, row.r)
		if !errors.Is(err, row.want) || err != nil && !strings.Contains(err.Error(), row.say) || p.Path != row.path {
			t.Errorf("ParametersForImport(%s, %+v): path %q, %v; want path %q, %v with %q", row.key.Spec, row.r, p.Path, err, row.path, row.want, row.say)
		}
	}
}

// TestImportExpectedPublicKey: a private key must have the public half that its owner
// names, on both paths, and a rejected one does not bind the CMK.
func TestImportExpectedPublicKey(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: ECCP256})
	spec := driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}
	right, wrong := privateKey(t, spec), privateKey(t, spec)
	public := publicOf(t, right)
	send := func(plain, public []byte) error {
		m := newImportFixture(t, c, k, plain).material()
		m.PublicKey = public
		_, err := c.ImportKeyMaterial(t.Context(), k.ID, m)
		return err
	}
	if err := send(wrong, public); !errors.Is(err, ErrImport) || !strings.Contains(err.Error(), "PublicKey") {
		t.Errorf("ImportKeyMaterial of another key than PublicKey: %v, want ErrImport", err)
	}
	for name, b := range map[string][]byte{"a byte too many": append(bytes.Clone(public), 0), "no key": {1}} {
		if err := send(right, b); !errors.Is(err, ErrInvalid) {
			t.Errorf("ImportKeyMaterial with a PublicKey of %s: %v, want ErrInvalid", name, err)
		}
	}
	if err := send(right, public); err != nil {
		t.Errorf("ImportKeyMaterial of the key of PublicKey: %v", err)
	}
	other := newExternal(t, c)
	m := newImportFixture(t, c, other, ownKey(1)).material()
	m.PublicKey = public
	if _, err := c.ImportKeyMaterial(t.Context(), other.ID, m); !errors.Is(err, ErrInvalid) {
		t.Errorf("ImportKeyMaterial of symmetric material with a PublicKey: %v, want ErrInvalid", err)
	}
}

// publicOf returns the public half of a PKCS #8 key as SubjectPublicKeyInfo.
func publicOf(t *testing.T, der []byte) []byte {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.(crypto.Signer).Public())
	if err != nil {
		t.Fatal(err)
	}
	return public
}
