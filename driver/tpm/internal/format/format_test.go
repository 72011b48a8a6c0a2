package format

import (
	"bytes"
	"testing"

	"strongroom.example/driver"
)

// FuzzKey decodes blobs. A blob that decodes must encode to the same bytes.
func FuzzKey(f *testing.F) {
	n := KeyName{Spec: driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}}
	b := Key{Parent: []byte("parent"), Auth: NewAuth(), Public: []byte("public"), Private: []byte("private")}
	f.Add([]byte(b.Encode(n)))
	b.FromFile = true
	f.Add([]byte(b.Encode(n)))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := DecodeKey(n, in)
		if err == nil && !bytes.Equal(got.Encode(n), in) {
			t.Error("decoding and encoding a blob gave other bytes")
		}
	})
}

// FuzzSealed does the same for a protector's blob.
func FuzzSealed(f *testing.F) {
	f.Add([]byte(Sealed{Mode: ModePCR, PCRs: []uint{0, 7}, Parent: []byte("parent")}.Encode()))
	f.Add([]byte(Sealed{Mode: ModeApproved}.Encode()))
	f.Add([]byte(Sealed{Mode: ModeBound}.Encode()))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := DecodeSealed(in)
		if err == nil && !bytes.Equal(got.Encode(), in) {
			t.Error("decoding and encoding a blob gave other bytes")
		}
	})
}

// FuzzKeyFile parses key files. A key file that parses must encode to a file that parses
// to the same key.
func FuzzKeyFile(f *testing.F) {
	text, err := KeyFile{EmptyAuth: true, Parent: OwnerParent, Public: []byte{1}, Private: []byte{2}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, in []byte) {
		file, err := ParseKeyFile(in)
		if err != nil {
			return
		}
		out, err := file.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKeyFile(out)
		if err != nil || again.Parent != file.Parent || again.EmptyAuth != file.EmptyAuth ||
			!bytes.Equal(again.Public, file.Public) || !bytes.Equal(again.Private, file.Private) {
			t.Errorf("encoding and parsing a key file gave another key: %v", err)
		}
	})
}
