package head

import (
	"bytes"
	"testing"
)

func FuzzHead(f *testing.F) {
	f.Add(Head{}.Append(nil))
	f.Add(Head{Generation: 7, Log: LogState{Size: 3, Frontier: make([][32]byte, 2)}, Epoch: 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := Parse(b); err == nil && b[0] == format && !bytes.Equal(h.Append(nil), b) {
			t.Error("a head that parses is encoded to different bytes")
		}
	})
}
