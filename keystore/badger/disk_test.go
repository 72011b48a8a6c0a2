package badger

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"strongroom.example/keystore"
)

func TestReserves(t *testing.T) {
	dir, room := t.TempDir(), uint64(openReserve-1)
	free := func(string) (uint64, error) { return room, nil }
	if _, err := openWith(dir, free); !errors.Is(err, keystore.ErrFull) {
		t.Fatalf("open: %v", err)
	}
	room = commitReserve
	e, err := openWith(dir, free)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Commit(t.Context(), put("k", "v")); err != nil {
		t.Fatal(err)
	}
	room = commitReserve - 1
	fill := put("f", string(make([]byte, overlayBytes/3)))
	for range 3 {
		err = errors.Join(err, e.Commit(t.Context(), fill))
	}
	if !errors.Is(err, keystore.ErrFull) {
		t.Errorf("commit: %v", err)
	}
	if v, err := e.Get(t.Context(), []byte("k")); err != nil || string(v) != "v" {
		t.Errorf("reading a full disk: %q, %v", v, err)
	}
	room = openReserve - 1
	if err := e.Close(); !errors.Is(err, keystore.ErrFull) {
		t.Errorf("close: %v", err)
	}
	room = openReserve
	if err := e.Close(); err != nil {
		t.Errorf("close with room again: %v", err)
	}
}

func TestFreeSpaceIsTheSystems(t *testing.T) {
	n, err := freeSpace(t.TempDir())
	if err != nil || n == 0 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestInUse(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("Badger's lock cannot be probed on", runtime.GOOS)
	}
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir); !errors.Is(err, keystore.ErrInUse) {
		t.Error(err)
	}
}

func TestNotADirectory(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil {
		t.Error("opened a file as a store")
	}
}
