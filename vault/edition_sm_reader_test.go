package vault

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/binary"
	"errors"
	"hash"
	"os"
	"path/filepath"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"

	"strongroom.example/keystore"
	"strongroom.example/keystore/badger"
)

// smReader reads a closed vault of the SM edition according to the format specification,
// with gmsm alone: it uses no hash, MAC, cipher or derivation of this module. If it cannot
// open something, that was not made with SM3 and SM4.
type smReader struct {
	t         *testing.T
	dir       string
	rootFile  []byte
	root      []byte
	secret    []byte // the vault's secret
	records   [][]byte
	materials map[uint32][]byte
	stored    []keystore.Pair
}

func smHash(parts ...[]byte) []byte {
	sum := sm3.Sum(bytes.Join(parts, nil))
	return sum[:]
}

func smMAC(key []byte, parts ...[]byte) []byte {
	h := hmac.New(func() hash.Hash { return sm3.New() }, key)
	h.Write(bytes.Join(parts, nil))
	return h.Sum(nil)
}

// smKDF is SP 800-108r1 in counter mode over HMAC-SM3.
func smKDF(key []byte, label, context string, n int) []byte {
	var out []byte
	for i := uint32(1); len(out) < n; i++ {
		counter := binary.BigEndian.AppendUint32(nil, i)
		bits := binary.BigEndian.AppendUint32(nil, uint32(n)*8)
		out = append(out, smMAC(key, counter, []byte(label), []byte{0}, []byte(context), bits)...)
	}
	return out[:n]
}

func (r *smReader) open(what string, key, sealed, aad []byte) []byte {
	r.t.Helper()
	block, err := sm4.NewCipher(key)
	if err != nil {
		r.t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		r.t.Fatal(err)
	}
	plain, err := gcm.Open(nil, sealed[:12], sealed[12:], aad)
	if err != nil {
		r.t.Fatalf("%s is not sealed by SM4-GCM: %v", what, err)
	}
	return plain
}

func (r *smReader) equal(what string, stored, computed []byte) {
	r.t.Helper()
	if !bytes.Equal(stored, computed) {
		r.t.Errorf("%s is %x, and SM3 gives %x", what, stored, computed)
	}
}

// fields takes the fields of an encoded value one by one.
type fields []byte

func (f *fields) take(n int) []byte {
	b := (*f)[:n]
	*f = (*f)[n:]
	return b
}
func (f *fields) u16() int    { return int(binary.BigEndian.Uint16(f.take(2))) }
func (f *fields) u32() uint32 { return binary.BigEndian.Uint32(f.take(4)) }
func (f *fields) u64() uint64 { return binary.BigEndian.Uint64(f.take(8)) }
func (f *fields) varint() int {
	n, used := binary.Uvarint(*f)
	f.take(used)
	return int(n)
}

// leaf takes an audit record, which is encoded as the difference from the former one.
func (f *fields) leaf(former fields) (leaf []byte) {
	for size := f.varint(); len(leaf) < size; {
		same, skip, take := f.varint(), f.varint(), f.varint()
		leaf = append(leaf, former.take(same)...)
		former.take(skip)
		leaf = append(leaf, f.take(take)...)
	}
	return leaf
}

// readRoot unlocks the root file with a passphrase.
func (r *smReader) readRoot(passphrase string) {
	r.t.Helper()
	content, err := os.ReadFile(filepath.Join(r.dir, "root"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.rootFile = content
	n := len(content)
	r.equal("hash of the root file", content[n-32:], smHash(content[:n-32]))
	f := fields(content)
	head := f.take(9)
	if head[7] != 2 || head[8] != byte(SM) {
		r.t.Fatalf("the root file has suite %d and edition %d, want 2 and SM", head[7], head[8])
	}
	id := f.take(16)
	f.take(16) // generation and time of creation
	for range f.u16() {
		for range 3 {
			f.take(f.u16())
		}
		f.take(9)
		r.recover(f.take(int(f.u32())), id, passphrase)
	}
	bound := content[:n-len(f)]
	ring := r.open("keyring", smKDF(r.root, "strongroom/keyring", "", 16), f.take(int(f.u32())), bound)
	r.equal("MAC of the root file", content[n-64:n-32], smMAC(smKDF(r.root, "strongroom/rootmac", "", 32), content[:n-64]))
	r.readKeyring(ring)
}

// recover opens the blob of a passphrase protector.
func (r *smReader) recover(blob, id []byte, passphrase string) {
	r.t.Helper()
	bound := func(b []byte) []byte { return append(append(bytes.Clone(b), id...), byte(SM)) }
	if blob[4] != 1 || blob[5] != 2 || blob[6] != 3 {
		r.t.Fatalf("the protector is of kind %d, suite %d, stretching %d; want 1, 2, 3 (PBKDF2-HMAC-SM3)", blob[4], blob[5], blob[6])
	}
	r.equal("checksum of the protector", blob[47:55], smHash([]byte("strongroom protector"), bound(blob[:47]))[:8])
	iterations := int(binary.BigEndian.Uint32(blob[7:]))
	stretched, err := pbkdf2.Key(func() hash.Hash { return sm3.New() }, passphrase, blob[15:47], iterations, 32)
	if err != nil {
		r.t.Fatal(err)
	}
	context := bound(blob[:55])
	r.root = r.open("root", smKDF(stretched, "strongroom protector", string(context), 16), blob[55:], context)
}

func (r *smReader) readKeyring(ring []byte) {
	f := fields(ring)
	r.secret = f.take(32)
	for range f.u16() {
		r.records = append(r.records, f.take(32))
	}
	r.materials = map[uint32][]byte{}
	for range f.take(1)[0] {
		n := f.u32()
		r.materials[n] = f.take(32)
	}
}

// derive returns the key that is derived from the vault's secret with the given label.
func (r *smReader) derive(label string) []byte { return smKDF(r.secret, label, "", 32) }

// readStore reads all pairs of the engine.
func (r *smReader) readStore() {
	r.t.Helper()
	key := r.derive("strongroom/engine")
	engine, err := badger.OpenEngine(keystore.EngineConfig{
		Dir: filepath.Join(r.dir, "store"),
		MAC: func(parts ...[]byte) [32]byte { return [32]byte(smMAC(key, parts...)) },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := engine.Close(); err != nil {
			r.t.Error(err)
		}
	}()
	for _, prefix := range []string{"a", "h", "r"} {
		for after := []byte(nil); ; {
			page, err := engine.Scan(r.t.Context(), []byte(prefix), after, 100)
			if err != nil && !errors.Is(err, keystore.ErrNotFound) {
				r.t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			r.stored = append(r.stored, page...)
			after = page[len(page)-1].Key
		}
	}
}

// unseal opens one stored record and returns its path, version and value.
func (r *smReader) unseal(p keystore.Pair) (path string, version uint64, value []byte) {
	r.t.Helper()
	head, sealed := p.Value[:31], p.Value[31:]
	if head[1] != 2 {
		r.t.Fatalf("a record names suite %d", head[1])
	}
	epoch := binary.BigEndian.Uint32(head[3:])
	var key []byte
	if head[2] == 1 {
		key = r.materials[epoch]
	} else {
		key = r.records[epoch-1]
	}
	f := fields(r.open("record", smKDF(key, "strongroom/record", string(p.Key)+string(head), 16), sealed, append(bytes.Clone(head), p.Key...)))
	path = string(f.take(f.u16()))
	return path, binary.BigEndian.Uint64(head[7:]), f
}
