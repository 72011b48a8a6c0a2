package pkcs1_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"strongroom.example/internal/pkcs1"
)

const size = 256

var key = bytes.Repeat([]byte{7}, pkcs1.KeySize)

// random returns n random bytes that are not zero.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	for i := range b {
		b[i] = b[i]%255 + 1
	}
	return b
}

// pad returns a padded block of n bytes.
func pad(message []byte, n int) []byte {
	block := append([]byte{0, 2}, random(n-3-len(message))...)
	block = append(block, 0)
	return append(block, message...)
}

// plain implements the unpadding of RFC 8017 literally. It is not constant-time.
func plain(block []byte) ([]byte, bool) {
	end := bytes.IndexByte(block[2:], 0)
	if block[0] != 0 || block[1] != 2 || end < 8 {
		return nil, false
	}
	return block[2+end+1:], true
}

// badBlocks are the classes of invalid padding, each made from a valid block that holds
// message.
var badBlocks = []struct {
	name  string
	spoil func(block []byte)
}{
	{"first byte 1", func(b []byte) { b[0] = 1 }},
	{"type 1, as in a signature", func(b []byte) { b[1] = 1; fill(b[2:len(b)/2], 0xFF) }},
	{"type 0", func(b []byte) { b[1] = 0 }},
	{"no separator", func(b []byte) { copy(b[2:], random(len(b)-2)) }},
	{"zero as the first byte of padding", func(b []byte) { b[2] = 0 }},
	{"zero in the midst of the first eight", func(b []byte) { b[6] = 0 }},
	{"separator one byte too early", func(b []byte) { b[9] = 0 }},
	{"no structure", func(b []byte) { copy(b, random(len(b))) }},
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

func unpad(t *testing.T, block, ciphertext, key []byte) []byte {
	t.Helper()
	got, err := pkcs1.Unpad(nil, block, ciphertext, key)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) > len(block)-11 {
		t.Fatalf("a message of %d bytes in a block of %d", len(got), len(block))
	}
	return got
}

// TestGoodPadding runs messages of every length, with zeros in them.
func TestGoodPadding(t *testing.T) {
	for _, n := range []int{pkcs1.MinSize, 255, 256, 257, 384, 512} {
		for length := range n - 11 + 1 {
			message := random(length)
			if length > 2 {
				message[0], message[length/2], message[length-1] = 0, 0, 0
			}
			if got := unpad(t, pad(message, n), random(n), key); !bytes.Equal(got, message) {
				t.Fatalf("modulus of %d bytes: Unpad of a message of %d bytes returned %d other bytes", n, length, len(got))
			}
		}
	}
}

func TestBadPadding(t *testing.T) {
	otherKey := bytes.Repeat([]byte{8}, pkcs1.KeySize)
	for _, bad := range badBlocks {
		t.Run(bad.name, func(t *testing.T) {
			lengths := make(map[int]bool)
			for range 64 {
				message, ciphertext := random(200), random(size)
				block := pad(message, size)
				bad.spoil(block)
				if _, ok := plain(block); ok {
					t.Fatal("the padding of this class is valid")
				}
				got := unpad(t, block, ciphertext, key)
				if !bytes.Equal(got, unpad(t, random(size), ciphertext, key)) {
					t.Error("the synthetic message depends on the block, not only on the ciphertext")
				}
				if !bytes.Equal(got, unpad(t, block, ciphertext, key)) {
					t.Error("the same ciphertext gave two different messages")
				}
				if len(got) >= 8 && (bytes.Contains(block, got) || bytes.Contains(ciphertext, got)) {
					t.Error("the synthetic message contains part of the block or the ciphertext")
				}
				if other := unpad(t, block, ciphertext, otherKey); len(got) > 8 && bytes.Equal(got, other) {
					t.Error("two keys gave the same synthetic message")
				}
				lengths[len(got)] = true
			}
			if len(lengths) < 32 {
				t.Errorf("64 synthetic messages have only %d different lengths", len(lengths))
			}
		})
	}
}

// TestLengthsAreEven checks that no length is much more likely than another, over 246
// lengths with 20 results for each.
func TestLengthsAreEven(t *testing.T) {
	const longest = size - 11
	var count [longest + 1]int
	block := random(size)
	for range 20 * len(count) {
		count[len(unpad(t, block, random(size), key))]++
	}
	for length, n := range count {
		if n < 1 || n > 60 {
			t.Errorf("length %d occurred %d times, want about 20", length, n)
		}
	}
}

func TestDst(t *testing.T) {
	dst := append(make([]byte, 0, 4+size+10), "dst:"...)
	whole := dst[:cap(dst)]
	fill(whole[4:], 0xAA)
	got, err := pkcs1.Unpad(dst, pad([]byte("message"), size), random(size), key)
	if err != nil || string(got) != "dst:message" {
		t.Fatalf("%q, %v", got, err)
	}
	if &got[0] != &whole[0] {
		t.Error("Unpad reallocated although dst had capacity")
	}
	if rest := whole[len(got) : 4+size]; !bytes.Equal(rest, make([]byte, len(rest))) {
		t.Error("the bytes after the message are not zero")
	}
	if !bytes.Equal(whole[4+size:], bytes.Repeat([]byte{0xAA}, 10)) {
		t.Error("Unpad wrote beyond the size of the block")
	}
}

func TestArgumentsAreKept(t *testing.T) {
	block, ciphertext, k := pad([]byte("message"), size), random(size), bytes.Clone(key)
	b, c := bytes.Clone(block), bytes.Clone(ciphertext)
	unpad(t, block, ciphertext, k)
	if !bytes.Equal(b, block) || !bytes.Equal(c, ciphertext) || !bytes.Equal(k, key) {
		t.Error("Unpad changed an argument")
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct{ block, ciphertext, key int }{
		{0, 0, 32}, {63, 63, 32}, {2049, 2049, 32}, {256, 255, 32}, {256, 257, 32}, {256, 256, 31}, {256, 256, 33}, {256, 256, 0},
	} {
		got, err := pkcs1.Unpad([]byte("x"), make([]byte, c.block), make([]byte, c.ciphertext), make([]byte, c.key))
		if !errors.Is(err, pkcs1.ErrSize) || got != nil {
			t.Errorf("%+v: %d bytes, %v", c, len(got), err)
		}
	}
	unpad(t, pad([]byte("m"), pkcs1.MaxSize), random(pkcs1.MaxSize), key)
}

// FuzzUnpad compares Unpad with plain.
func FuzzUnpad(f *testing.F) {
	f.Add(pad([]byte("message"), size))
	f.Add(make([]byte, size))
	for _, bad := range badBlocks {
		block := pad(random(pkcs1.MinSize/2), pkcs1.MinSize)
		bad.spoil(block)
		f.Add(block)
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) < pkcs1.MinSize || len(block) > pkcs1.MaxSize {
			t.Skip()
		}
		ciphertext := bytes.Repeat([]byte{1}, len(block))
		got := unpad(t, block, ciphertext, key)
		want, ok := plain(block)
		if !ok {
			want = unpad(t, make([]byte, len(block)), ciphertext, key)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("Unpad of %x returned %x", block, got)
		}
	})
}
