package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"sync"
	"testing"
)

// recipient returns an RSA recipient, whose private key is lost.
var recipient = sync.OnceValue(func() Recipient {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		panic(err)
	}
	r, err := ParseRecipient(der)
	if err != nil {
		panic(err)
	}
	return r
})

// TestOpenSSLOpensSealedDelivery: openssl opens what DecryptTo and GenerateDataKeyTo return to
// a key that it made, given in PEM or DER.
func TestOpenSSLOpensSealedDelivery(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx, ec := v.As(DefaultOwner), t.Context(), EncryptionContext{"tenant": "7"}
	k := mustKey(t, c, KeyOptions{})
	for name, row := range map[string]struct {
		alg         EncryptionAlgorithm
		make, opts  string
		longest     int
		fingerprint int
	}{
		"RSA": {RSAESOAEPSHA256, "RSA -pkeyopt rsa_keygen_bits:2048", " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256", 190, 64},
		"SM2": {SM2C1C3C2, "EC -pkeyopt ec_paramgen_curve:SM2", "", 4096, 64},
	} {
		t.Run(name, func(t *testing.T) {
			needs(t, row.alg)
			w := newOpensslBench(t)
			w.Run("genpkey -out private.pem -algorithm " + row.make)
			w.Run("pkey -in private.pem -pubout -out public.pem")
			w.Run("pkey -in private.pem -pubout -outform DER -out public.der")
			to, err := ParseRecipient(w.Read("public.pem"))
			if err != nil {
				t.Fatal(err)
			}
			if der, err := ParseRecipient(w.Read("public.der")); err != nil || der.Fingerprint() != to.Fingerprint() || len(to.Fingerprint()) != row.fingerprint {
				t.Errorf("the recipient in DER: %q, %v, want %q", der.Fingerprint(), err, to.Fingerprint())
			}
			open := func(sealed []byte) []byte {
				w.Write("sealed", sealed)
				w.Run("pkeyutl -decrypt -inkey private.pem -in sealed -out opened" + row.opts)
				return w.Read("opened")
			}
			for _, n := range []int{1, row.longest} {
				plain := bytes.Repeat([]byte("x"), n)
				ct, err := c.Encrypt(ctx, k.ID, plain, ec)
				if err != nil {
					t.Fatal(err)
				}
				sealed, err := c.DecryptTo(ctx, to, ct, ec)
				if err != nil || bytes.Contains(sealed, plain) && n > 1 {
					t.Fatalf("DecryptTo of %d bytes: %v", n, err)
				}
				if got := open(sealed); !bytes.Equal(got, plain) {
					t.Errorf("openssl opens %d bytes, want %d", len(got), n)
				}
			}
			r := lastRecord(t, c, OpDecryptTo)
			if r.Detail["recipient"] != to.Fingerprint() || r.Detail["recipient_algorithm"] != string(row.alg) || r.Key != k.ID || r.Decision != "ALLOW" {
				t.Errorf("the record of DecryptTo is %+v", r)
			}
			made, err := c.GenerateDataKeyTo(ctx, to, k.ID, DataKey128, ec)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := c.Decrypt(ctx, made.Ciphertext, ec)
			if got := open(made.Sealed); err != nil || len(got) != DataKey128 || !bytes.Equal(got, plain) {
				t.Errorf("openssl opens a data key of %d bytes, and Decrypt returns %d, %v", len(got), len(plain), err)
			}
		})
	}
}

// TestSealedDeliveryFaults: faulty recipients and plaintexts that do not fit are rejected.
func TestSealedDeliveryFaults(t *testing.T) {
	w := newOpensslBench(t)
	for name, command := range map[string]string{
		"RSA of 1024 bits": "genpkey -out private.pem -algorithm RSA -pkeyopt rsa_keygen_bits:1024",
		"P-256":            "genpkey -out private.pem -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
		"Ed25519":          "genpkey -out private.pem -algorithm ED25519",
	} {
		w.Run(command)
		w.Run("pkey -in private.pem -pubout -out public.pem")
		if _, err := ParseRecipient(w.Read("public.pem")); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
		if _, err := ParseRecipient(w.Read("private.pem")); !errors.Is(err, ErrInvalid) {
			t.Errorf("a private key of %s: %v, want ErrInvalid", name, err)
		}
	}
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, make([]byte, 191), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DecryptTo(ctx, recipient(), ct, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a plaintext of 191 bytes to RSA of 2048 bits: %v, want ErrTooLarge", err)
	}
	if _, err := c.DecryptTo(ctx, recipient(), ct, EncryptionContext{"a": "b"}); !errors.Is(err, ErrCiphertext) {
		t.Errorf("another context: %v, want ErrCiphertext", err)
	}
	if _, err := c.GenerateDataKeyTo(ctx, recipient(), k.ID, 191, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a data key of 191 bytes: %v, want ErrTooLarge", err)
	}
}
