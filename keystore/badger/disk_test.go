package badger

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"strongroom.example/keystore"
)

func TestInUse(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("the engine takes no lock of its own on", runtime.GOOS)
	}
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir); !errors.Is(err, keystore.ErrInUse) {
		t.Errorf("Open of a store that is open: %v, want ErrInUse", err)
	}
}

func TestNotADirectory(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/file"
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(file); err == nil {
		t.Error("Open of a file succeeded")
	}
}
