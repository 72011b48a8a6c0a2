package tpm_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
)

// TestSM2Interoperates signs in the TPM and verifies with gmsm, and with openssl, which
// computes the digest itself.
func TestSM2Interoperates(t *testing.T) {
	d, dir := openFresh(t), t.TempDir()
	n := generate(t, d, driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Sign})
	key, err := smx509.ParsePKIXPublicKey(n.PublicDER)
	if err != nil {
		t.Fatal(err)
	}
	public, message, uid := key.(*ecdsa.PublicKey), []byte("message"), []byte("1234567812345678")
	digest, err := sm2.CalculateSM2Hash(public, message, uid)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := openAs[driver.Signer](t, d, n).Sign(context.Background(), driver.SM2DSA, digest)
	if err != nil {
		t.Fatal(err)
	}
	if !sm2.VerifyASN1WithSM2(public, uid, message, signature) {
		t.Error("gmsm does not verify the TPM's signature")
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("public"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: n.PublicDER}))
	write(t, path("message"), message)
	write(t, path("signature"), signature)
	verify := func() error {
		out, err := exec.Command("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", path("public"), "-rawin", "-in", path("message"),
			"-digest", "sm3", "-pkeyopt", "distid:1234567812345678", "-sigfile", path("signature")).CombinedOutput()
		t.Logf("openssl: %s", out)
		return err
	}
	if err := verify(); err != nil {
		t.Errorf("openssl does not verify the TPM's signature: %v", err)
	}
	write(t, path("message"), []byte("massage"))
	if verify() == nil {
		t.Error("openssl verifies the signature over another message")
	}
}
