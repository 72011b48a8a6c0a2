package ciphertext

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"strongroom.example/internal/suite"
)

// A goldenVector is frozen: a change that breaks it makes every stored ciphertext
// unreadable.
type goldenVector struct {
	Suite      string
	Pairs      map[string]string
	Header     string
	Context    string
	CMK        string
	PRFInput   string
	Root       string
	B          string
	Key        string
	Commit     string
	Plaintext  string
	Ciphertext string
}

func goldenVectors(t testing.TB) []goldenVector {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []goldenVector
	if err := json.Unmarshal(text, &all); err != nil || len(all) != 4 {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	suites := map[suite.ID]int{}
	for _, g := range goldenVectors(t) {
		ct, root := unhex(t, g.Ciphertext), unhex(t, g.Root)
		h, err := Parse(ct)
		if err != nil {
			t.Fatal(err)
		}
		suites[h.Suite]++
		if !h.Suite.Usable() {
			if _, err := Open(nil, ct, unhex(t, g.Context), root); err != ErrOpen {
				t.Errorf("a suite that this process cannot have: %v", err)
			}
			continue
		}
		context, err := CanonicalContext(g.Pairs)
		if err != nil {
			t.Fatal(err)
		}
		b := h.bind(context)
		_, key, commit := h.derive(context, root)
		prf := h.Suite.MAC(unhex(t, g.CMK), h.PRFInput(context))
		for _, row := range []struct {
			name string
			got  []byte
			want string
		}{
			{"suite", []byte(h.Suite.String()), hex.EncodeToString([]byte(g.Suite))},
			{"header", h.append(nil), g.Header},
			{"context", context, g.Context},
			{"B", b[:], g.B},
			{"PRF input", h.PRFInput(context), g.PRFInput},
			{"root", prf[:], g.Root},
			{"key", key, g.Key},
			{"commitment", commit, g.Commit},
			{"commitment in the ciphertext", ct[58:90], g.Commit},
		} {
			if !bytes.Equal(row.got, unhex(t, row.want)) {
				t.Errorf("%s: %s is %x, want %s", g.Suite, row.name, row.got, row.want)
			}
		}
		got, err := Open(nil, ct, context, root)
		if err != nil || !bytes.Equal(got, unhex(t, g.Plaintext)) {
			t.Errorf("%s: %x, %v", g.Suite, got, err)
		}
	}
	if suites[suite.AES] != 2 || suites[suite.SM] != 2 {
		t.Errorf("vectors of each suite: %v", suites)
	}
}
