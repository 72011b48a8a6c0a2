// The race detector keeps copies of its own and makes the search take minutes.
//go:build !race

package vault

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/emmansun/gmsm/sm4"

	"strongroom.example/internal/suite"
)

// needleSize is the number of bytes that a search compares: half of an AES-256 key.
const needleSize = 16

// A secret is a key that is searched for in all its forms.
type secret struct {
	name  string
	bytes []byte
	use   secretUse
}

type secretUse int

const (
	hmacKey secretUse = iota // also the key of a KDF, a root, or a passphrase
	cipherKey
	ed25519Seed
	numberUse // a big.Int
	everyUse
)

// needles are the byte strings of a search.
type needles struct {
	filter, second [1 << 16]bool // whether one has these as its first two bytes, and as the two after them
	at             map[[needleSize]byte]string
}

func newNeedles(secrets []secret, id suite.ID) *needles {
	n := &needles{at: map[[needleSize]byte]string{}}
	for _, s := range secrets {
		for form, b := range s.forms(id) {
			if len(b) < needleSize {
				panic("a form of " + s.name + " is short")
			}
			n.filter[binary.LittleEndian.Uint16(b)] = true
			n.second[binary.LittleEndian.Uint16(b[2:])] = true
			n.at[[needleSize]byte(b)] = s.name + ", " + form
		}
	}
	return n
}

// forms returns the beginning of each form that the secret has in memory while a library
// uses it.
func (s secret) forms(id suite.ID) map[string][]byte {
	key := s.bytes
	forms := map[string][]byte{"as it is": key[:needleSize], "as words": swapWords(key[:needleSize])}
	if s.use == cipherKey || s.use == everyUse {
		maps.Copy(forms, roundKeys(id, key[:id.KeySize()]))
		if bytes.Equal(forms["round keys"], forms["as it is"]) { // on some processors AES uses the key itself
			delete(forms, "round keys")
		}
	}
	if s.use == numberUse || s.use == everyUse {
		limbs := bytes.Clone(key)
		slices.Reverse(limbs)
		forms["as limbs"] = limbs[:needleSize]
	}
	if s.use == ed25519Seed || s.use == everyUse {
		expanded := sha512.Sum512(key)
		forms["nonce prefix"] = expanded[32:][:needleSize]
	}
	if s.use == hmacKey || s.use == ed25519Seed || s.use == everyUse {
		maps.Copy(forms, macForms(id, key))
	}
	return forms
}

// macForms returns the forms of an HMAC key.
func macForms(id suite.ID, key []byte) map[string][]byte {
	if len(key) > 64 {
		sum := id.Sum(key)
		key = sum[:]
	}
	forms := map[string][]byte{}
	for name, pad := range map[string]byte{"ipad": 0x36, "opad": 0x5c} {
		padded := bytes.Repeat([]byte{pad}, 64)
		for i := range key {
			padded[i] ^= key[i]
		}
		forms["⊕ "+name] = padded[:needleSize]
		forms["⊕ "+name+" as words"] = swapWords(padded[:needleSize])
		state := hashState(id, padded)
		forms["state after "+name] = state[:needleSize]
		forms["state after "+name+" as words"] = swapWords(state[:needleSize])
	}
	return forms
}

// hashState returns the chaining value after one block, in the byte order of the hash's
// standard.
func hashState(id suite.ID, block []byte) []byte {
	h := id.NewHash()
	h.Write(block)
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err)
	}
	return state[4:36] // after the name of the format
}

func swapWords(b []byte) []byte {
	out := make([]byte, len(b))
	for i := 0; i+4 <= len(b); i += 4 {
		binary.LittleEndian.PutUint32(out[i:], binary.BigEndian.Uint32(b[i:]))
	}
	return out
}

// roundKeys returns parts of the library's own key schedule.
func roundKeys(id suite.ID, key []byte) map[string][]byte {
	var block cipher.Block
	var err error
	if id == suite.SM {
		block, err = sm4.NewCipher(key)
	} else {
		block, err = aes.NewCipher(key)
	}
	if err != nil {
		panic(err)
	}
	state := reflect.ValueOf(block).Elem()
	all := bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(state.UnsafeAddr())), state.Type().Size()))
	return map[string][]byte{"round keys": all[8:][:needleSize], "later round keys": all[72:][:needleSize]}
}

// scan counts the occurrences of each needle in the memory of a process that is not locked.
// The process must not run during the scan.
func scan(t *testing.T, pid int, n *needles) (found map[string]int, where []string) {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatalf("the memory of a child cannot be read: %v", err)
	}
	defer memory.Close()
	found = map[string]int{}
	const window = 1 << 20
	buffer := make([]byte, window+needleSize)
	total := 0
	for _, m := range mappings(t, pid) {
		for start := m.start; start < m.end; start += window {
			got, err := memory.ReadAt(buffer[:min(window+needleSize-1, int(m.end-start))], int64(start))
			if err != nil && err != io.EOF && got == 0 {
				continue // a guard page, or a file shorter than its mapping
			}
			total += got
			for i := 0; i+needleSize <= got; i++ {
				if !n.filter[binary.LittleEndian.Uint16(buffer[i:])] || !n.second[binary.LittleEndian.Uint16(buffer[i+2:])] {
					continue
				}
				if name, ok := n.at[[needleSize]byte(buffer[i:])]; ok {
					found[name]++
					where = append(where, fmt.Sprintf("%x %s: %s", start+uint64(i), m.name, name))
				}
			}
		}
	}
	if total < 1<<20 {
		t.Fatalf("only %d bytes of the child's memory were read", total)
	}
	return found, where
}

// mapping is a range of a process's memory.
type mapping struct {
	start, end uint64
	name       string
}

// mappings returns the ranges of a process's memory that are readable and not locked.
func mappings(t *testing.T, pid int) (out []mapping) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	var m mapping
	readable, locked := false, 0
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok {
			switch {
			case strings.Contains(flags+" ", " lo "):
				locked++
			case readable:
				out = append(out, m)
			}
			continue
		}
		start, end, ok := strings.Cut(fields[0], "-")
		if !ok || strings.HasSuffix(fields[0], ":") {
			continue
		}
		m.start, _ = strconv.ParseUint(start, 16, 64)
		m.end, _ = strconv.ParseUint(end, 16, 64)
		m.name = fields[len(fields)-1]
		readable = strings.HasPrefix(fields[1], "r") && m.name != "[vvar]" && m.name != "[vsyscall]"
	}
	if locked == 0 {
		t.Log("the child has no locked memory")
	}
	return out
}
