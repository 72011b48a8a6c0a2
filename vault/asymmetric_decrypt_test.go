//lint:file-ignore SA1019 what the vault decrypts has to be made, and its options named

package vault

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"math"
	"testing"

	"strongroom.example/internal/pkcs1"
	"strongroom.example/vault/internal/editionrules"
)

func publicRSA(t testing.TB, c Client, key string) *rsa.PublicKey {
	t.Helper()
	p, err := c.PublicKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := p.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return public.(*rsa.PublicKey)
}

// encryptRSA encrypts with the public key only, outside the vault.
func encryptRSA(t testing.TB, public *rsa.PublicKey, alg EncryptionAlgorithm, message []byte) []byte {
	t.Helper()
	var ct []byte
	var err error
	switch alg {
	case RSAESPKCS1V15:
		ct, err = rsa.EncryptPKCS1v15(rand.Reader, public, message)
	case RSAESOAEPSHA1:
		ct, err = rsa.EncryptOAEP(sha1.New(), rand.Reader, public, message, nil)
	default:
		ct, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, public, message, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ct
}

func TestAsymmetricDecryptRSA(t *testing.T) {
	t.Parallel()
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	for _, spec := range []KeySpec{RSA2048, RSA3072, RSA4096} {
		if testing.Short() && spec != RSA2048 {
			continue
		}
		k := mustKey(t, c, KeyOptions{Spec: spec, Usage: AsymmetricDecrypt}).ID
		public := publicRSA(t, c, k)
		for _, alg := range []EncryptionAlgorithm{RSAESPKCS1V15, RSAESOAEPSHA1, RSAESOAEPSHA256} {
			if editionrules.Excluded(testEdition(), alg) != nil {
				if _, err := c.AsymmetricDecrypt(ctx, k, make([]byte, public.Size()), alg); !errors.Is(err, ErrUnsupported) {
					t.Errorf("%s in the %v edition: %v", alg, testEdition(), err)
				}
				continue
			}
			for _, message := range [][]byte{nil, []byte("test\n"), make([]byte, public.Size()-66)} {
				ct := encryptRSA(t, public, alg, message)
				got, err := c.AsymmetricDecrypt(ctx, k, ct, alg)
				if err != nil || !bytes.Equal(got, message) {
					t.Errorf("AsymmetricDecrypt, %s with %s: a plaintext of %d bytes became %d bytes, error %v", spec, alg, len(message), len(got), err)
				}
				for name, bad := range map[string][]byte{"cut": ct[1:], "longer": append([]byte{0}, ct...), "over the modulus": bytes.Repeat([]byte{255}, len(ct)), "empty": nil} {
					if got, err := c.AsymmetricDecrypt(ctx, k, bad, alg); !errors.Is(err, ErrCiphertext) || got != nil {
						t.Errorf("AsymmetricDecrypt, %s with %s, %s: error %v, want ErrCiphertext", spec, alg, name, err)
					}
				}
			}
		}
		oaep := encryptRSA(t, public, RSAESOAEPSHA256, []byte("m"))
		oaep[20] ^= 1
		if _, err := c.AsymmetricDecrypt(ctx, k, oaep, ""); !errors.Is(err, ErrCiphertext) {
			t.Errorf("AsymmetricDecrypt of a changed OAEP ciphertext: %v, want ErrCiphertext", err)
		}
	}
}

// TestBadPaddingIsNoError: with PKCS #1 v1.5, an altered ciphertext decrypts to other
// bytes, and to the same bytes each time, also after a restart.
func TestBadPaddingIsNoError(t *testing.T) {
	needs(t, RSAESPKCS1V15)
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: AsymmetricDecrypt}).ID
	ct := encryptRSA(t, publicRSA(t, c, k), RSAESPKCS1V15, []byte("secret"))
	ct[100] ^= 1
	first, err := c.AsymmetricDecrypt(ctx, k, ct, RSAESPKCS1V15)
	if err != nil || string(first) == "secret" {
		t.Fatalf("AsymmetricDecrypt of bad padding: %q, error %v, want other bytes and no error", first, err)
	}
	closeChecked(t, v)
	if v, err = Open(ctx, dir, testConfig(), passphrase(t, "correct horse")); err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	again, err := v.As(DefaultOwner).AsymmetricDecrypt(ctx, k, ct, RSAESPKCS1V15)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the same ciphertext decrypts to something else: %v", err)
	}
}

func TestAsymmetricDecryptSM2(t *testing.T) {
	needs(t, SM2)
	v, _ := newTestVault(t, Config{Edition: SM})
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Spec: SM2, Usage: AsymmetricDecrypt}).ID
	message := bytes.Repeat([]byte("m"), 146)
	ct := encryptTo(t, c, k, message)
	got, err := c.AsymmetricDecrypt(ctx, k, ct, SM2C1C3C2)
	if err != nil || !bytes.Equal(got, message) {
		t.Fatalf("AsymmetricDecrypt with SM2: %d bytes, error %v, want the message", len(got), err)
	}
	for i := range ct {
		ct[i] ^= 0x10
		if _, err := c.AsymmetricDecrypt(ctx, k, ct, ""); !errors.Is(err, ErrCiphertext) {
			t.Fatalf("AsymmetricDecrypt with SM2 and byte %d changed: %v, want ErrCiphertext", i, err)
		}
		ct[i] ^= 0x10
	}
	if _, err := c.AsymmetricDecrypt(ctx, k, make([]byte, MaxSM2Ciphertext+1), ""); !errors.Is(err, ErrTooLarge) {
		t.Errorf("AsymmetricDecrypt of a long SM2 ciphertext: %v, want ErrTooLarge", err)
	}
	if _, err := c.AsymmetricDecrypt(ctx, k, ct, RSAESOAEPSHA256); !errors.Is(err, ErrInvalid) {
		t.Errorf("AsymmetricDecrypt of an SM2 key with OAEP: %v, want ErrInvalid", err)
	}
}

func TestDecrypter(t *testing.T) {
	needs(t, RSAESPKCS1V15, RSAESOAEPSHA1)
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	d, err := c.Decrypter(ctx, mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: AsymmetricDecrypt}).ID)
	if err != nil {
		t.Fatal(err)
	}
	public := d.Public().(*rsa.PublicKey)
	message := bytes.Repeat([]byte("k"), 32)
	pkcs1, oaep := encryptRSA(t, public, RSAESPKCS1V15, message), encryptRSA(t, public, RSAESOAEPSHA1, message)
	for name, row := range map[string]struct {
		ct   []byte
		opts crypto.DecrypterOpts
		want error
	}{
		"nil":                 {pkcs1, nil, nil},
		"PKCS #1":             {pkcs1, &rsa.PKCS1v15DecryptOptions{}, nil},
		"session key":         {pkcs1, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 32}, nil},
		"OAEP SHA-1":          {oaep, &rsa.OAEPOptions{Hash: crypto.SHA1}, nil},
		"OAEP other hash":     {oaep, &rsa.OAEPOptions{Hash: crypto.SHA256}, ErrCiphertext},
		"OAEP SHA-512":        {oaep, &rsa.OAEPOptions{Hash: crypto.SHA512}, ErrUnsupported},
		"OAEP with label":     {oaep, &rsa.OAEPOptions{Hash: crypto.SHA1, Label: []byte("x")}, ErrUnsupported},
		"OAEP with other MGF": {oaep, &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA256}, ErrUnsupported},
	} {
		got, err := d.Decrypt(nil, row.ct, row.opts)
		if !errors.Is(err, row.want) || row.want == nil && (err != nil || !bytes.Equal(got, message)) {
			t.Errorf("%s: %q, %v, want %v", name, got, err, row.want)
		}
	}
	pkcs1[9] ^= 1
	other, err := d.Decrypt(nil, pkcs1, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 48})
	if err != nil || len(other) != 48 {
		t.Errorf("bad padding with a session key: %d bytes, %v", len(other), err)
	}
	if _, err := c.Decrypter(ctx, mustKey(t, c, KeyOptions{Spec: ECCP256}).ID); !errors.Is(err, ErrUsage) {
		t.Errorf("a signing key as a decrypter: %v", err)
	}
}

// TestSessionKey: a message of any length takes the same path. It is returned if it has the
// length of the session key, and is wiped with its whole capacity in every case.
func TestSessionKey(t *testing.T) {
	const block = 256
	for _, n := range []int{16, 24, 32, 48, 245, 256, 300} {
		var paths []float64
		for length := range block - 10 {
			message := bytes.Repeat([]byte{7}, block)[:length]
			key := sessionKey(message, n)
			if fits := bytes.Equal(key, bytes.Repeat([]byte{7}, n)); len(key) != n || fits != (length == n) {
				t.Fatalf("sessionKey of a message of %d bytes, for %d: %d bytes, the message: %v", length, n, len(key), fits)
			}
			if len(bytes.Trim(message[:block], "\x00")) != 0 {
				t.Fatalf("sessionKey of a message of %d bytes, for %d: the message is not wiped", length, n)
			}
			least := math.Inf(1) // other goroutines allocate too
			for range 3 {
				least = min(least, testing.AllocsPerRun(2, func() { sessionKey(message, n) }))
			}
			paths = append(paths, least)
		}
		for length, allocations := range paths {
			if allocations != paths[0] {
				t.Errorf("sessionKey of a message of %d bytes, for %d: %v allocations, %v for an empty one", length, n, allocations, paths[0])
			}
		}
	}
}

// TestUnpaddedHasItsBlock: every result of PKCS #1 v1.5 has the capacity that sessionKey
// needs.
func TestUnpaddedHasItsBlock(t *testing.T) {
	for _, size := range []int{256, 384, 512} {
		block := make([]byte, size)
		for range 8 {
			rand.Read(block)
			out, err := pkcs1.Unpad(nil, block, block, block[:pkcs1.KeySize])
			if err != nil || cap(out) < size {
				t.Errorf("Unpad of %d bytes: a capacity of %d, %v", size, cap(out), err)
			}
		}
	}
}
