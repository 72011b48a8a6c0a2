package vault

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/internal/testing/tlstest"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/publickey"
)

// TestSignAlgorithms signs and verifies with every algorithm of every spec, messages and
// digests.
func TestSignAlgorithms(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	message := []byte("pay 4711 to the bearer")
	keys := map[KeySpec]Key{}
	for _, row := range signTable {
		if testing.Short() && row.spec == RSA4096 {
			continue
		}
		if editionrules.Excluded(testEdition(), row.spec) != nil {
			if _, err := c.CreateKey(ctx, KeyOptions{Spec: row.spec, Usage: SignVerify}); !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s in the %v edition: %v", row.spec, testEdition(), err)
			}
			continue
		}
		if _, made := keys[row.spec]; !made {
			keys[row.spec] = mustKey(t, c, KeyOptions{Spec: row.spec, Usage: SignVerify})
		}
		k, o := keys[row.spec].ID, SignOptions{Algorithm: row.alg}
		t.Run(string(row.spec)+"/"+string(row.alg), func(t *testing.T) {
			p, err := c.PublicKey(ctx, k)
			if err != nil {
				t.Fatal(err)
			}
			digest, err := publickey.Digest(row.device, message, p.DER, nil)
			if err != nil {
				t.Fatal(err)
			}
			byDigest := SignOptions{Algorithm: row.alg, MessageType: Digest}
			sig, err := c.Sign(ctx, k, message, o)
			if err != nil {
				t.Fatal(err)
			}
			verify := func(what string, message, sig []byte, o SignOptions, want bool) {
				t.Helper()
				if ok, err := c.Verify(ctx, k, message, sig, o); ok != want || err != nil {
					t.Errorf("%s: %v, %v, want %v", what, ok, err, want)
				}
			}
			verify("raw", message, sig, o, true)
			verify("other message", message[1:], sig, o, false)
			verify("cut", message, sig[:len(sig)-1], o, false)
			verify("empty", message, nil, o, false)
			if row.alg == EdDSA {
				if _, err := c.Sign(ctx, k, digest, byDigest); !errors.Is(err, ErrInvalid) {
					t.Errorf("Ed25519 over a digest: %v", err)
				}
				return
			}
			verify("raw signature by digest", digest, sig, byDigest, true)
			if sig, err = c.Sign(ctx, k, digest, byDigest); err != nil {
				t.Fatal(err)
			}
			verify("digest signature by raw", message, sig, o, true)
			for _, n := range []int{0, len(digest) - 1, len(digest) + 1} {
				if _, err := c.Sign(ctx, k, make([]byte, n), byDigest); !errors.Is(err, ErrInvalid) {
					t.Errorf("digest of %d bytes: %v", n, err)
				}
			}
		})
	}
}

// TestSM2ID signs with a signer's id other than the default.
func TestSM2ID(t *testing.T) {
	needs(t, SM2)
	v, _ := newTestVault(t, Config{Edition: SM})
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Spec: SM2, Usage: SignVerify}).ID
	own := SignOptions{SM2ID: []byte("ALICE123@YAHOO.COM")}
	sig, err := c.Sign(ctx, k, []byte("m"), own)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := c.Verify(ctx, k, []byte("m"), sig, own); !ok || err != nil {
		t.Errorf("Verify with the signer's own id: %v, error %v", ok, err)
	}
	if ok, err := c.Verify(ctx, k, []byte("m"), sig, SignOptions{}); ok || err != nil {
		t.Errorf("Verify with the default id of a signature for another: %v, error %v", ok, err)
	}
	if sig, err = c.Sign(ctx, k, []byte("m"), SignOptions{}); err != nil {
		t.Fatal(err)
	}
	if ok, err := c.Verify(ctx, k, []byte("m"), sig, SignOptions{SM2ID: []byte(SM2DefaultID)}); !ok || err != nil {
		t.Errorf("Verify with the default id given: %v, error %v", ok, err)
	}
	s, err := c.Signer(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	certificateBySM2(t, s)
}

// TestSM2Digest compares SM2Digest with the digest of gmsm, and with the vault's own
// signatures of raw messages. It includes messages longer than MaxMessage.
func TestSM2Digest(t *testing.T) {
	needs(t, SM2)
	v, _ := newTestVault(t, Config{Edition: SM})
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Spec: SM2, Usage: SignVerify}).ID
	public, err := c.PublicKey(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	key, err := public.Parse()
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Signer(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "alice@example"} {
		for _, size := range []int{0, 1, MaxMessage, MaxMessage + 1, 100_000} {
			message := bytes.Repeat([]byte{7}, size)
			digest, err := SM2Digest(public.DER, []byte(id), bytes.NewReader(message))
			if err != nil {
				t.Fatalf("SM2Digest of %d bytes for id %q: %v", size, id, err)
			}
			want, err := sm2.CalculateSM2Hash(key.(*ecdsa.PublicKey), message, []byte(cmp.Or(id, SM2DefaultID)))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(digest, want) {
				t.Errorf("SM2Digest of %d bytes for id %q is %x, gmsm's is %x", size, id, digest, want)
			}
			signature, err := s.SignMessage(nil, message, &SM2SignerOptions{ID: []byte(id)})
			if err != nil {
				t.Fatalf("SignMessage of %d bytes for id %q: %v", size, id, err)
			}
			if ok, err := c.Verify(ctx, k, digest, signature, SignOptions{MessageType: Digest}); !ok || err != nil {
				t.Errorf("Verify of SignMessage's signature over %d bytes for id %q: %v, %v", size, id, ok, err)
			}
			if size > MaxMessage {
				continue
			}
			signature, err = s.Sign(nil, message, &SM2SignerOptions{ID: []byte(id)})
			if err != nil {
				t.Fatalf("Sign of %d bytes for id %q: %v", size, id, err)
			}
			if ok, err := c.Verify(ctx, k, message, signature, SignOptions{SM2ID: []byte(id)}); !ok || err != nil {
				t.Errorf("Verify of Sign's signature over %d bytes for id %q: %v, %v", size, id, ok, err)
			}
		}
	}
	foreign := mustKey(t, c, KeyOptions{Spec: ECCP256}).ID
	other, err := c.PublicKey(ctx, foreign)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		public, id []byte
		want       error
	}{
		"no key":      {nil, nil, ErrInvalid},
		"a P-256 key": {other.DER, nil, ErrInvalid},
		"a long id":   {public.DER, make([]byte, 8192), ErrTooLarge},
	} {
		if _, err := SM2Digest(row.public, row.id, strings.NewReader("m")); !errors.Is(err, row.want) {
			t.Errorf("SM2Digest with %s: %v, want %v", name, err, row.want)
		}
	}
}

// certificateBySM2 makes and checks a certificate request with gmsm.
func certificateBySM2(t *testing.T, s *Signer) {
	t.Helper()
	der, err := smx509.CreateCertificateRequest(rand.Reader, &smx509.CertificateRequest{Subject: pkix.Name{CommonName: tlstest.Host}}, s)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := smx509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Error(err)
	}
	for name, opts := range map[string]crypto.SignerOpts{"nil": nil, "digest": sm2.NewSM2SignerOption(false, nil), "message": sm2.DefaultSM2SignerOpts} {
		if _, err := s.Sign(nil, make([]byte, 32), opts); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Sign(nil, make([]byte, 32), sm2.NewSM2SignerOption(true, []byte("other"))); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an id that cannot be seen: %v", err)
	}
}

func TestSignBadInput(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	ec := mustKey(t, c, KeyOptions{Spec: ECCP256}).ID
	ed := mustKey(t, c, KeyOptions{Spec: Ed25519}).ID
	symmetric := mustKey(t, c, KeyOptions{}).ID
	size := v.store.LogState().Size
	rows := map[string]struct {
		key     string
		message []byte
		o       SignOptions
		want    error
	}{
		"4096 bytes":         {ec, make([]byte, 4096), SignOptions{}, nil},
		"empty":              {ec, nil, SignOptions{}, nil},
		"4097 bytes":         {ec, make([]byte, 4097), SignOptions{}, ErrTooLarge},
		"4097 to Ed25519":    {ed, make([]byte, 4097), SignOptions{}, ErrTooLarge},
		"unknown type":       {ec, nil, SignOptions{MessageType: "HASH"}, ErrInvalid},
		"foreign algorithm":  {ec, nil, SignOptions{Algorithm: RSAPSSSHA256}, ErrInvalid},
		"unknown algorithm":  {ec, nil, SignOptions{Algorithm: "x"}, ErrInvalid},
		"SM2 id without SM2": {ec, nil, SignOptions{SM2ID: []byte("x")}, ErrInvalid},
		"SM2 id with digest": {ec, make([]byte, 32), SignOptions{SM2ID: []byte("x"), MessageType: Digest}, ErrInvalid},
		"long SM2 id":        {ec, nil, SignOptions{SM2ID: make([]byte, 8192)}, ErrTooLarge},
		"symmetric":          {symmetric, nil, SignOptions{}, ErrUsage},
		"no key":             {"none", nil, SignOptions{}, ErrNotFound},
	}
	for name, row := range rows {
		if _, err := c.Sign(ctx, row.key, row.message, row.o); !errors.Is(err, row.want) || row.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	if got := v.store.LogState().Size; got != size+uint64(len(rows)) {
		t.Errorf("%d records of %d calls of Sign, want one for each", got-size, len(rows))
	}
}

func TestMac(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	sizes := map[KeySpec]int{HMAC224: 28, HMAC384: 48, HMAC512: 64, HMAC256: 32, HMACSM3: 32}
	for _, o := range []KeyOptions{{Usage: GenerateVerifyMac}, {Spec: HMAC256}, {Spec: HMACSM3}, {Spec: HMAC224}, {Spec: HMAC384}, {Spec: HMAC512}} {
		if editionrules.Excluded(testEdition(), o.Spec) != nil {
			if _, err := c.CreateKey(ctx, o); !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s in the %v edition: %v", o.Spec, testEdition(), err)
			}
			continue
		}
		k := mustKey(t, c, o)
		if want := macSpec(testEdition()); o.Spec == "" && k.Spec != want {
			t.Errorf("CreateKey for MACs without a spec: %s, want %s", k.Spec, want)
		}
		message := bytes.Repeat([]byte("m"), MaxMessage)
		mac, err := c.GenerateMac(ctx, k.ID, message)
		if err != nil || len(mac) != sizes[k.Spec] {
			t.Fatalf("GenerateMac, %s: %d bytes, error %v, want %d", k.Spec, len(mac), err, sizes[k.Spec])
		}
		if ok, err := c.VerifyMac(ctx, k.ID, message, mac); !ok || err != nil {
			t.Errorf("VerifyMac, %s: %v, error %v", k.Spec, ok, err)
		}
		for name, bad := range map[string][]byte{"cut": mac[:len(mac)-1], "longer": append(mac, 0), "empty": nil, "flipped": append([]byte{mac[0] ^ 1}, mac[1:]...)} {
			if ok, err := c.VerifyMac(ctx, k.ID, message, bad); ok || err != nil {
				t.Errorf("VerifyMac, %s, %s: %v, error %v, want false", k.Spec, name, ok, err)
			}
		}
		if _, err := c.GenerateMac(ctx, k.ID, make([]byte, MaxMessage+1)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("GenerateMac of a long message: %v, want ErrTooLarge", err)
		}
	}
}
