// Package vectors reads the Wycheproof vectors (github.com/c2sp/wycheproof) for the tests
// of drivers.
package vectors

import (
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

// Hex is a byte string in the encoding of the vectors. A number with an odd count of
// digits gets a leading zero.
type Hex []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) error {
	if len(text)%2 != 0 {
		text = append([]byte("0"), text...)
	}
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// A Group has the fields of all kinds of group with which drivers are tested.
type Group struct {
	KeySize, TagSize, SLen int
	Sha, MgfSha            string
	PrivateKeyPkcs8        Hex
	PublicKeyDer           Hex
	PrivateKey             struct{ PublicExponent string }
	Tests                  []Case
}

// A Case is one vector.
type Case struct {
	TcID                          int
	Key, Msg, Tag, Ct, Label, Sig Hex
	Private                       Hex
	Result                        string
}

// Read returns the groups of a file. A missing file ends the test.
func Read(t *testing.T, file string) []Group {
	t.Helper()
	text, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ TestGroups []Group }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all.TestGroups
}
