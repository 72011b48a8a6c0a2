package vault_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// The owner of the material wraps it with openssl or, as here, in Go. The owner's program
// and that of the vault may be different ones.
func ExampleClient_ImportKeyMaterial() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "import")
	check(err)
	defer os.RemoveAll(dir)
	v, err := vault.Create(ctx, filepath.Join(dir, "keys"), vault.Config{}, soft.Passphrase([]byte("read this from a person")))
	check(err)
	defer v.Close()
	c := v.As(vault.DefaultOwner)

	key, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "ours", Origin: vault.OriginExternal})
	check(err)
	fmt.Println(key.State)
	p, err := c.ParametersForImport(ctx, "ours", vault.ImportRequest{}) // send p.PublicKey and p.Token to the owner
	check(err)
	wrapped := ownerWraps(p)
	key, err = c.ImportKeyMaterial(ctx, "ours", vault.ImportMaterial{
		Token: p.Token, EncryptedMaterial: wrapped, ValidTo: time.Now().AddDate(1, 0, 0),
	})
	check(err)
	fmt.Println(key.State)
	check(c.DeleteImportedKeyMaterial(ctx, "ours"))
	key, err = c.DescribeKey(ctx, "ours")
	check(err)
	fmt.Println(key.State)
	// Output:
	// PendingImport
	// Enabled
	// PendingImport
}

func ownerWraps(p vault.ImportParameters) []byte {
	public, err := p.PublicKey.Parse()
	check(err)
	material := make([]byte, p.MaterialSize)
	rand.Read(material)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
	check(err)
	return wrapped
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
