package cursor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"
)

// keyed returns the MAC under a key of one byte.
func keyed(key byte) MAC {
	return func(parts ...[]byte) (out [32]byte) {
		h := hmac.New(sha256.New, []byte{key})
		for _, p := range parts {
			h.Write(p)
		}
		return [32]byte(h.Sum(nil))
	}
}

// golden is the token of position "position" in scope "scope" under the key 07. It must open
// for ever.
const golden = "AXBvc2l0aW9uj9-d5MAaX6qds_ueFDjC6Q"

func TestGolden(t *testing.T) {
	if got := Seal(keyed(7), []byte("scope"), []byte("position")); got != golden {
		t.Errorf("Seal: %q, want %q", got, golden)
	}
	if got, err := Open(keyed(7), []byte("scope"), golden); err != nil || string(got) != "position" {
		t.Errorf("Open: %q, %v, want the position", got, err)
	}
}

// TestOnlyItsOwnList: a token opens with its key and scope only, and no change of a bit is
// accepted.
func TestOnlyItsOwnList(t *testing.T) {
	refused := map[string]error{}
	_, refused["another key"] = Open(keyed(8), []byte("scope"), golden)
	_, refused["another scope"] = Open(keyed(7), []byte("scop"), golden)
	_, refused["a part of the scope in the position"] = Open(keyed(7), []byte("scopeposition"), golden)
	_, refused["empty"] = Open(keyed(7), []byte("scope"), "")
	_, refused["no base64"] = Open(keyed(7), []byte("scope"), "=?")
	_, refused["a line end"] = Open(keyed(7), []byte("scope"), golden+"\n")
	raw, _ := base64.RawURLEncoding.DecodeString(golden)
	for i := range raw {
		changed := append([]byte(nil), raw...)
		changed[i] ^= 1
		_, err := Open(keyed(7), []byte("scope"), base64.RawURLEncoding.EncodeToString(changed))
		refused["a changed byte"] = errors.Join(refused["a changed byte"], err)
		if err == nil {
			t.Errorf("a token with byte %d changed was accepted", i)
		}
	}
	for name, err := range refused {
		if !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v, want ErrToken", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(golden)
	f.Fuzz(func(t *testing.T, token string) {
		position, err := Open(keyed(7), []byte("scope"), token)
		if err == nil && Seal(keyed(7), []byte("scope"), position) != token {
			t.Errorf("%q was accepted and is not the token of its position", token)
		}
	})
}
