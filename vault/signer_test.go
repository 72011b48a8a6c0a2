package vault

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"testing"

	"strongroom.example/internal/testing/tlstest"
)

// TestSignerMakesCertificates makes a certificate request, a certificate, and handshakes of
// TLS 1.3 and 1.2 with the standard library, for each kind of key.
func TestSignerMakesCertificates(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	for _, spec := range []KeySpec{ECCP256, ECCP384, ECCP521, Ed25519, RSA2048} {
		t.Run(string(spec), func(t *testing.T) {
			k := mustKey(t, c, KeyOptions{Spec: spec, Usage: SignVerify})
			s, err := c.Signer(ctx, k.ID)
			if err != nil {
				t.Fatal(err)
			}
			tlstest.Request(t, s)
			tlstest.Handshake(t, s)
		})
	}
}

func TestSignerOptions(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	rsaKey, err := c.Signer(ctx, mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: SignVerify}).ID)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := c.Signer(ctx, mustKey(t, c, KeyOptions{Spec: ECCP256}).ID)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("m"))
	for name, row := range map[string]struct {
		s    *Signer
		opts crypto.SignerOpts
		want error
	}{
		"PKCS #1":           {rsaKey, crypto.SHA256, nil},
		"PSS":               {rsaKey, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}, nil},
		"PSS auto":          {rsaKey, &rsa.PSSOptions{Hash: crypto.SHA256}, nil},
		"PSS 32":            {rsaKey, &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}, nil},
		"PSS 20":            {rsaKey, &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}, ErrUnsupported},
		"PSS SHA-1":         {rsaKey, &rsa.PSSOptions{Hash: crypto.SHA1}, ErrUnsupported},
		"PSS without hash":  {rsaKey, &rsa.PSSOptions{}, ErrUnsupported},
		"EC with an SM2 id": {ecKey, &SM2SignerOptions{}, ErrUnsupported},
		"RSA without hash":  {rsaKey, crypto.Hash(0), ErrUnsupported},
		"RSA nil":           {rsaKey, nil, ErrUnsupported},
		"P-256":             {ecKey, crypto.SHA256, nil},
		"P-256 and SHA-384": {ecKey, crypto.SHA384, ErrUnsupported},
		"EC with PSS":       {ecKey, &rsa.PSSOptions{Hash: crypto.SHA256}, ErrUnsupported},
	} {
		if _, err := row.s.Sign(nil, digest[:], row.opts); !errors.Is(err, row.want) || row.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	if _, err := ecKey.Sign(nil, digest[:31], crypto.SHA256); !errors.Is(err, ErrInvalid) {
		t.Errorf("Sign of a short digest: %v, want ErrInvalid", err)
	}
	k := mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: AsymmetricDecrypt}).ID
	if _, err := c.Signer(ctx, k); !errors.Is(err, ErrUsage) {
		t.Errorf("a decryption key as a signer: %v", err)
	}
}
