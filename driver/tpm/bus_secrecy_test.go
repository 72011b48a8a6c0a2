package tpm_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// TestBusSecrecy records all bytes on the wire in the life of keys and roots. They
// must contain neither a secret nor an authorization value, whole or in part.
func TestBusSecrecy(t *testing.T) {
	s := newTPM(t)
	w := testtoken.NewWire(s.Dial)
	w.Record(true)
	owner, lockout := randomAuth(t), randomAuth(t)
	setAuths(t, s, owner, lockout)
	d := openConfig(t, tpm.Config{Dial: dialer(w.Dial), OwnerAuth: owner, Counter: 0x01500001})
	secrets := map[string][]byte{"the owner's authorization": owner, "the lockout authorization": lockout}
	note := func(what string, secret []byte) { secrets[what] = bytes.Clone(secret) }

	useHMAC(t, d, note)
	useRSA(t, d, note)
	useP256(t, d, note)
	random := make([]byte, 32)
	if err := d.Random(context.Background(), random); err != nil {
		t.Fatal(err)
	}
	note("random bytes", random)
	for name, policy := range map[string]tpm.Policy{"root": {}, "root under PCRs": {PCRs: []uint{7}}} {
		p := protector(t, d, policy)
		root, blob := seal(t, p)
		opens(t, p, root, blob, name)
		note(name, root)
	}
	if _, err := d.Increment(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := d.ResetLockout(context.Background(), lockout); err != nil {
		t.Fatal(err)
	}
	log := w.Log()
	for what, secret := range secrets {
		if shows(log, secret) {
			t.Errorf("the bytes on the wire contain %s", what)
		}
	}
	t.Logf("searched for %d secrets in %d exchanges, found none", len(secrets), len(log))

	root, blob := seal(t, protector(t, d, tpm.Policy{}))
	w.Record(true)
	if _, err := unsealPast(d, blob, func(transport.TPM) (tpm2.Session, error) { return tpm2.PasswordAuth(nil), nil }); err != nil {
		t.Fatal(err)
	}
	if !shows(w.Log(), root) {
		t.Error("positive control: the search does not find a root that was unsealed in the clear")
	}
}

// shows searches both directions for any eight consecutive bytes of a secret.
func shows(log []testtoken.Exchange, secret []byte) bool {
	for i := 0; i+8 <= len(secret); i++ {
		for _, e := range log {
			if bytes.Contains(e.Command, secret[i:i+8]) || bytes.Contains(e.Response, secret[i:i+8]) {
				return true
			}
		}
	}
	return false
}

// randomAuth returns an authorization value with a zero byte in the middle, at which some
// software truncates it.
func randomAuth(t *testing.T) []byte {
	t.Helper()
	auth := make([]byte, 24)
	rand.Read(auth)
	auth[3], auth[23] = 0, 1
	return auth
}

func setAuths(t *testing.T, s *testtoken.SWTPM, owner, lockout []byte) {
	t.Helper()
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(changeAuth(c, tpm2.TPMRHOwner, owner), changeAuth(c, tpm2.TPMRHLockout, lockout)); err != nil {
		t.Fatal(err)
	}
}

func changeAuth(c transport.TPM, hierarchy tpm2.TPMHandle, auth []byte) error {
	_, err := tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)},
		NewAuth:    tpm2.TPM2BAuth{Buffer: auth},
	}.Execute(c)
	return err
}

func importKey(t testing.TB, d *tpm.Driver, spec driver.KeySpec, material []byte) named {
	t.Helper()
	n := named{spec: spec}
	rand.Read(n.id[:])
	var err error
	if n.Created, err = d.ImportKey(context.Background(), n.id, spec, material); err != nil {
		t.Fatal(err)
	}
	return n
}

func useHMAC(t *testing.T, d *tpm.Driver, note func(string, []byte)) {
	t.Helper()
	material, long := make([]byte, 32), make([]byte, 3000)
	rand.Read(material)
	rand.Read(long)
	for origin, n := range map[string]named{"imported": importKey(t, d, hmacSpec, material), "generated": generate(t, d, hmacSpec)} {
		note("the authorization of an "+origin+" HMAC key", tpm.Auth(n.id, n.spec, n.Blob))
		k := openAs[driver.PRF](t, d, n)
		for name, input := range map[string][]byte{"short": long[:64], "long": long} {
			out, err := k.PRF(context.Background(), nil, input)
			if err != nil {
				t.Fatal(err)
			}
			note("what an "+origin+" HMAC key gives for "+name+" input", out)
		}
	}
	note("HMAC material", material)
}

func useRSA(t *testing.T, d *tpm.Driver, note func(string, []byte)) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	n := importKey(t, d, driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}, pkcs8(t, key))
	note("the first prime", key.Primes[0].Bytes())
	note("the second prime", key.Primes[1].Bytes())
	note("the authorization of an RSA key", tpm.Auth(n.id, n.spec, n.Blob))
	plaintext := make([]byte, 100)
	rand.Read(plaintext)
	ciphertext, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, plaintext, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := openAs[driver.Decrypter](t, d, n).Decrypt(context.Background(), nil, driver.RSAOAEPSHA256, ciphertext)
	if err != nil || !bytes.Equal(out, plaintext) {
		t.Fatalf("decrypting: %v", err)
	}
	note("an RSA plaintext", plaintext)
}

func useP256(t *testing.T, d *tpm.Driver, note func(string, []byte)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	n := importKey(t, d, p256Spec, pkcs8(t, key))
	signer := openAs[driver.Signer](t, d, n)
	if _, err := signer.Sign(context.Background(), driver.ECDSASHA256, make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	phrase := []byte("a phrase for a key file")
	text, err := d.ExportTSS2(context.Background(), signer, phrase)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ImportTSS2(context.Background(), tpm.KeyID{Spec: p256Spec}, text, phrase); err != nil {
		t.Fatal(err)
	}
	note("the authorization of a key file", phrase)
	note("an EC scalar", scalar)
	note("the authorization of an EC key", tpm.Auth(n.id, n.spec, n.Blob))
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
