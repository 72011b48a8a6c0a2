package vault

import (
	"testing"
)

// TestOpenSSLSigns makes a private key with openssl and imports it. The vault verifies
// signatures that openssl made.
func TestOpenSSLSigns(t *testing.T) {
	const dgst = "dgst -sign private.pem -out signature "
	const pss = " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1"
	const sm2 = "pkeyutl -sign -inkey private.pem -rawin -digest sm3 -in message -out signature -pkeyopt distid:"
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	for name, row := range map[string]struct {
		spec      KeySpec
		o         SignOptions
		make, run string
	}{
		"PSS":             {RSA2048, SignOptions{Algorithm: RSAPSSSHA256}, "RSA -pkeyopt rsa_keygen_bits:2048", dgst + "-sha256" + pss + " message"},
		"PSS SHA-384":     {RSA2048, SignOptions{Algorithm: RSAPSSSHA384}, "RSA -pkeyopt rsa_keygen_bits:2048", dgst + "-sha384" + pss + " message"},
		"PSS SHA-512":     {RSA2048, SignOptions{Algorithm: RSAPSSSHA512}, "RSA -pkeyopt rsa_keygen_bits:2048", dgst + "-sha512" + pss + " message"},
		"PKCS #1 SHA-256": {RSA2048, SignOptions{Algorithm: RSAPKCS1SHA256}, "RSA -pkeyopt rsa_keygen_bits:2048", dgst + "-sha256 message"},
		"PKCS #1 SHA-384": {RSA3072, SignOptions{Algorithm: RSAPKCS1SHA384}, "RSA -pkeyopt rsa_keygen_bits:3072", dgst + "-sha384 message"},
		"PKCS #1 SHA-512": {RSA2048, SignOptions{Algorithm: RSAPKCS1SHA512}, "RSA -pkeyopt rsa_keygen_bits:2048", dgst + "-sha512 message"},
		"P-256":           {ECCP256, SignOptions{}, "EC -pkeyopt ec_paramgen_curve:P-256", dgst + "-sha256 message"},
		"P-384":           {ECCP384, SignOptions{}, "EC -pkeyopt ec_paramgen_curve:P-384", dgst + "-sha384 message"},
		"P-521":           {ECCP521, SignOptions{}, "EC -pkeyopt ec_paramgen_curve:P-521", dgst + "-sha512 message"},
		"Ed25519":         {Ed25519, SignOptions{}, "ED25519", "pkeyutl -sign -inkey private.pem -rawin -in message -out signature"},
		"SM2":             {SM2, SignOptions{}, "EC -pkeyopt ec_paramgen_curve:SM2", sm2 + SM2DefaultID},
		"SM2 of Alice":    {SM2, SignOptions{SM2ID: []byte("alice@example")}, "EC -pkeyopt ec_paramgen_curve:SM2", sm2 + "alice@example"},
	} {
		t.Run(name, func(t *testing.T) {
			needs(t, row.spec)
			w := newOpensslBench(t)
			w.Run("genpkey -out private.pem -algorithm " + row.make)
			w.Run("pkcs8 -topk8 -nocrypt -in private.pem -outform DER -out private.der")
			k := mustKey(t, c, KeyOptions{Spec: row.spec, Usage: SignVerify, Origin: OriginExternal})
			mustImport(t, c, k.ID, newImportFixture(t, c, k, w.Read("private.der")).material())

			message := []byte("the message\n")
			w.Write("message", message)
			w.Run(row.run)
			signature := w.Read("signature")
			if ok, err := c.Verify(ctx, k.ID, message, signature, row.o); !ok || err != nil {
				t.Errorf("Verify of a raw message: %v, error %v", ok, err)
			}
			if digest := digestOf(t, c, k.ID, row.o, message); digest != nil {
				o := SignOptions{Algorithm: row.o.Algorithm, MessageType: Digest}
				if ok, err := c.Verify(ctx, k.ID, digest, signature, o); !ok || err != nil {
					t.Errorf("Verify of a digest: %v, error %v", ok, err)
				}
			}
			signature[len(signature)/2] ^= 1
			if ok, err := c.Verify(ctx, k.ID, message, signature, row.o); ok || err != nil {
				t.Errorf("Verify of a changed signature: %v, error %v", ok, err)
			}
		})
	}
}
