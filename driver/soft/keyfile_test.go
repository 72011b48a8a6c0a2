package soft_test

import (
	"bytes"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// TestRelativeKeyFile checks that KeyFile resolves its path once: a later change of the
// working directory does not select another file.
func TestRelativeKeyFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := soft.CreateKeyFile("key"); err != nil {
		t.Fatal(err)
	}
	p, b := soft.KeyFile("key"), driver.Binding{VaultID: [16]byte{1}}
	blob, err := p.Protect(t.Context(), b, root)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := soft.CreateKeyFile("key"); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Recover(t.Context(), nil, b, blob); err != nil || !bytes.Equal(got, root) {
		t.Errorf("Recover in another directory with a file of that name: %v, want the root", err)
	}
}
