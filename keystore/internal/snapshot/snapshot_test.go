package snapshot_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/snapshot"
)

type item struct {
	kind       snapshot.Kind
	key, value []byte
}

var items = []item{
	{snapshot.Pair, []byte("key"), []byte("value")},
	{snapshot.Live, bytes.Repeat([]byte("k"), 1<<10), nil},
	{snapshot.Keyring, nil, bytes.Repeat([]byte("v"), 64<<10)},
	{snapshot.End, []byte("8 bytes."), []byte("head")},
}

// readAll reads items up to the last one, and checks that nothing follows.
func readAll(t *testing.T, r io.Reader) error {
	t.Helper()
	in := snapshot.NewReader(r)
	for n, want := range items {
		kind, key, value, err := in.Item()
		if err != nil {
			return err
		}
		if kind != want.kind || !bytes.Equal(key, want.key) || !bytes.Equal(value, want.value) {
			t.Fatalf("item %d: %q %.20q %.20q, want %q %.20q %.20q", n, kind, key, value, want.kind, want.key, want.value)
		}
	}
	return in.AtEnd()
}

// TestItems reads what Writer wrote, and refuses input that is cut or goes on.
func TestItems(t *testing.T) {
	var b bytes.Buffer
	out := snapshot.NewWriter(&b)
	for _, i := range items {
		if err := out.Item(i.kind, i.key, i.value); err != nil {
			t.Fatal(err)
		}
	}
	if err := readAll(t, iotest.OneByteReader(bytes.NewReader(b.Bytes()))); err != nil {
		t.Errorf("reading the items: %v", err)
	}
	for _, n := range []int{0, 1, 6, 7, 10, 14, 15, 100, b.Len() - 1} {
		if err := readAll(t, bytes.NewReader(b.Bytes()[:n])); !errors.Is(err, fault.ErrCorrupt) {
			t.Errorf("reading the first %d bytes: %v, want ErrCorrupt", n, err)
		}
	}
	if err := readAll(t, io.MultiReader(&b, bytes.NewReader([]byte{0}))); !errors.Is(err, fault.ErrCorrupt) {
		t.Errorf("reading one byte more: %v, want ErrCorrupt", err)
	}
}

// TestItemRefuses reads headers that no Writer makes.
func TestItemRefuses(t *testing.T) {
	broken := errors.New("broken input")
	for name, c := range map[string]struct {
		in   io.Reader
		want error
	}{
		"another kind":   {bytes.NewReader(make([]byte, 7)), fault.ErrCorrupt},
		"a long key":     {bytes.NewReader(append([]byte{'p', 4, 1, 0, 0, 0, 0}, make([]byte, 2<<10)...)), fault.ErrCorrupt},
		"a long value":   {bytes.NewReader(append([]byte{'p', 0, 1, 0, 1, 0, 1}, make([]byte, 65<<10)...)), fault.ErrCorrupt},
		"a broken input": {iotest.ErrReader(broken), broken},
	} {
		if _, _, _, err := snapshot.NewReader(c.in).Item(); !errors.Is(err, c.want) {
			t.Errorf("Item of %s: %v, want %v", name, err, c.want)
		}
	}
	if err := snapshot.NewReader(iotest.ErrReader(broken)).AtEnd(); !errors.Is(err, broken) {
		t.Errorf("AtEnd of a broken input: %v, want its error", err)
	}
}
