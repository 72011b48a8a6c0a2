package suite

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/hmac"
	"hash"
	"reflect"
	"testing"
)

// plainBytes returns a copy of the memory that WipeState must zero.
func plainBytes(state any) (all []byte) {
	stateMemory(reflect.ValueOf(state), maxStateDepth, func(p []byte) { all = append(all, p...) })
	return all
}

func TestWipeStateOfCiphers(t *testing.T) {
	for _, id := range usable() {
		key := bytes.Repeat([]byte{0xC3}, id.KeySize())
		a, err := id.NewAEAD(key)
		if err != nil {
			t.Fatal(err)
		}
		state := a.gcm
		before := plainBytes(state)
		if n := len(before) - bytes.Count(before, []byte{0}); n < 100 {
			t.Fatalf("%v: stateMemory visited only %d bytes, without the round keys", id, n)
		}
		a.Wipe()
		if after := plainBytes(state); len(bytes.Trim(after, "\x00")) != 0 {
			t.Errorf("%v: the state is not zero after Wipe", id)
		}
	}
}

func TestWipeStateOfBlocks(t *testing.T) {
	for _, n := range []int{16, 24, 32} {
		block, err := aes.NewCipher(bytes.Repeat([]byte{0xC3}, n))
		if err != nil {
			t.Fatal(err)
		}
		if before := plainBytes(block); len(before)-bytes.Count(before, []byte{0}) < n {
			t.Fatalf("AES with a key of %d bytes: stateMemory does not visit the key", n)
		}
		WipeState(block)
		if len(bytes.Trim(plainBytes(block), "\x00")) != 0 {
			t.Errorf("AES with a key of %d bytes: the state is not zero after WipeState", n)
		}
	}
}

func TestWipeStateOfMAC(t *testing.T) {
	key := bytes.Repeat([]byte{0xC3}, 32)
	states := map[string]hash.Hash{}
	for _, id := range usable() {
		states[id.String()] = id.newMAC(key)
	}
	for _, h := range []crypto.Hash{crypto.SHA224, crypto.SHA384, crypto.SHA512} {
		states[h.String()] = hmac.New(h.New, key)
	}
	for name, h := range states {
		pad := bytes.Repeat([]byte{0xC3 ^ 0x36}, 32)
		if !bytes.Contains(plainBytes(h), pad) {
			t.Fatalf("%s: stateMemory does not visit the inner pad", name)
		}
		WipeState(h)
		if len(bytes.Trim(plainBytes(h), "\x00")) != 0 {
			t.Errorf("%s: the state is not zero after WipeState", name)
		}
	}
}

// TestStatesAreTheirOwn checks that two states of the libraries share no memory, so that
// wiping one does not change the other.
func TestStatesAreTheirOwn(t *testing.T) {
	for _, id := range usable() {
		a, err := id.NewAEAD(make([]byte, id.KeySize()))
		if err != nil {
			t.Fatal(err)
		}
		b, err := id.NewAEAD(make([]byte, id.KeySize()))
		if err != nil {
			t.Fatal(err)
		}
		if !apart(a.gcm, b.gcm) {
			t.Errorf("%v: two ciphers are not proven apart", id)
		}
		if !apart(id.newMAC(make([]byte, 32)), id.newMAC(make([]byte, 32))) {
			t.Errorf("%v: two MACs are not proven apart", id)
		}
	}
}

// TestApart covers the three ways in which a library can make one state from another:
// with a copy of it, with a pointer to it, and with a pointer into it.
func TestApart(t *testing.T) {
	type block struct {
		rounds [4]uint32
		key    []byte
		back   [32]byte
	}
	type counter struct {
		next func()
	}
	own := func() *block { b := new(block); b.key = b.back[:16]; return b }
	b := own()
	shallow := *b
	words := make([]uint32, 8)
	for _, c := range []struct {
		what string
		a, b any
		want bool
	}{
		{"two of their own", b, own(), true},
		{"numbers only", &[8]uint64{}, &[8]uint64{}, true},
		{"itself", b, b, false},
		{"a pointer to the other", &struct{ *block }{b}, b, false},
		{"a copy whose slice points into the other", &shallow, b, false},
		{"one slice of words", &struct{ w []uint32 }{words}, &struct{ w []uint32 }{words[6:7]}, false},
		{"a slice's spare capacity", &struct{ w []uint32 }{words[:1]}, &struct{ w []uint32 }{words[6:7]}, false},
		{"an array of pointers", &[2]*block{nil, b}, b, false},
		{"a function, which nothing sees into", &counter{next: func() { b.rounds[0]++ }}, b, false},
		{"a map", &struct{ m map[int]*block }{map[int]*block{1: b}}, b, false},
	} {
		if got := apart(c.a, c.b); got != c.want {
			t.Errorf("apart, %s: %v, want %v", c.what, got, c.want)
		}
		if got := apart(c.b, c.a); got != c.want {
			t.Errorf("apart, %s, the other way: %v, want %v", c.what, got, c.want)
		}
	}
}

// TestWipeStateOfWords checks that round keys in a slice of words are wiped too.
func TestWipeStateOfWords(t *testing.T) {
	words := []uint32{1, 2, 3, 4}
	WipeState(&struct {
		name string
		w    []uint32
		p    []*[2]uint64
	}{"constant", words[:2], nil})
	if words[0]|words[1]|words[2]|words[3] != 0 {
		t.Errorf("WipeState left %v of a slice of numbers", words)
	}
}

// TestCyclicState checks that the walk over a cyclic state ends, and proves nothing.
func TestCyclicState(t *testing.T) {
	type node struct {
		secret [16]byte
		next   *node
	}
	n := &node{secret: [16]byte{1}}
	n.next = n
	if apart(n, new([16]byte)) {
		t.Error("apart claims to have seen all of a cyclic state")
	}
	if WipeState(n); n.secret != [16]byte{} {
		t.Error("WipeState left the secret of a cyclic state")
	}
}
