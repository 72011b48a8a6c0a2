package vault

import (
	"crypto/rand"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/unwrap"
)

// TestSyntheticMaterialIsRefused: bad PKCS #1 v1.5 padding decrypts to synthetic bytes,
// sometimes of the length that the CMK accepts. The test searches for such a ciphertext and
// sends it: it must not become the CMK's material.
func TestSyntheticMaterialIsRefused(t *testing.T) {
	needs(t, WrapRSAESPKCS1V15)
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := newExternal(t, c)
	p := requestImport(t, c, k.ID, ownKey(1), ImportRequest{Algorithm: WrapRSAESPKCS1V15})
	state, err := v.importOf(ctx, k.ID)
	if err != nil {
		t.Fatal(err)
	}
	im := &importing{v: v, token: tokenOf(t, v, p), issued: *state.Newest}
	with, err := im.openWrappingKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer with.Close()
	forged := make([]byte, 256)
	for n := 1; ; n++ {
		rand.Read(forged[1:]) // smaller than the modulus
		w := driver.Wrapped{With: with, Alg: unwrap.RSAPKCS1, Ciphertext: forged}
		key := make([]byte, suite.HashSize)
		im.rejectionKey(key, "one")
		if got, err := unwrap.Unwrap(ctx, nil, w, key); err != nil {
			t.Fatal(err)
		} else if len(got) == p.parameters.MaterialSize {
			t.Logf("number %d decrypts to %d bytes", n, len(got))
			break
		}
		if n == 20000 {
			t.Fatal("the search found no such ciphertext")
		}
	}
	m := p.material()
	m.EncryptedMaterial = forged
	refusedImport(t, c, k.ID, m, "unwrap")
	mustImport(t, c, k.ID, p.material())
}
