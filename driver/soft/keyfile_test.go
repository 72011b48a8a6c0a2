package soft_test

import (
	"bytes"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// A key file is the one that its path named when KeyFile was called, also after a change
// of the working directory.
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
