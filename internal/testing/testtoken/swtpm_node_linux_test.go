package testtoken

import (
	"bytes"
	"os"
	"testing"
)

// TestNode opens a device repeatedly. Each time it must lead to the same TPM, with
// unchanged state.
func TestNode(t *testing.T) {
	w := NewWire(NewSWTPM(t).Dial)
	path := Node(t, "tpm0", w.Dial)
	for range 3 {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(getRandom); err != nil {
			t.Fatal(err)
		}
		rsp := make([]byte, 100)
		n, err := f.Read(rsp)
		if err != nil || n != 10+2+16 || !bytes.HasPrefix(rsp, []byte{0x80, 1, 0, 0, 0, 28, 0, 0, 0, 0}) {
			t.Errorf("GetRandom: %x, %v", rsp[:n], err)
		}
		f.Close()
	}
	if w.Count() != 3 {
		t.Errorf("%d commands, want 3", w.Count())
	}
}
