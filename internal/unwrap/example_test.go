package unwrap_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/unwrap"
)

// A complete import: the engine generates and keeps the wrapping key, the sender wraps,
// and Unwrap returns the material.
func Example() {
	ctx, alg := context.Background(), driver.WrapRSAOAEPSHA256
	engine, err := soft.Open(ctx, soft.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	// The vault generates a fresh wrapping key. It stores Blob and publishes PublicDER.
	spec, ok := unwrap.KeySpec(alg)
	if !ok {
		log.Fatal("not a wrapping algorithm")
	}
	id := driver.MaterialID{1} // in the vault: random
	made, err := engine.GenerateKey(ctx, id, spec)
	if err != nil {
		log.Fatal(err)
	}

	// The sender wraps the material.
	public, err := x509.ParsePKIXPublicKey(made.PublicDER)
	if err != nil {
		log.Fatal(err)
	}
	material := make([]byte, 32)
	ciphertext, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
	if err != nil {
		log.Fatal(err)
	}

	// The vault unwraps it, perhaps a day later.
	key, err := engine.OpenKey(ctx, id, spec, made.Blob)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Close()
	dst := make([]byte, 0, unwrap.MaxMaterial) // in the vault: locked memory
	got, err := unwrap.Unwrap(ctx, dst, driver.Wrapped{With: key, Alg: alg, Ciphertext: ciphertext}, nil)
	fmt.Println(len(got), err)
	// Output: 32 <nil>
}
