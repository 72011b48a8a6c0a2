package keystore

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"time"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

const (
	rootFormat = 2 // format 1 had one kind of epoch and was never released
	rootFixed  = 6 + 1 + 1 + 1 + 16 + 8 + 8 + 2
	maxName    = 1024
	maxBlob    = 64 << 10
)

// MaxProtectors is the largest number of protectors of a vault.
const MaxProtectors = 64

var rootMagic = []byte("SRROOT")

// encodeRoot builds a root file: the public part, the keyring sealed under the root, a
// MAC under the root over both, and an unkeyed hash that detects damage before any file
// is unlocked.
func encodeRoot(r Root, k *keyring, keys *rootKeys) (*Root, error) {
	if len(r.Protectors) > MaxProtectors {
		return nil, fmt.Errorf("%w: more than %d protectors", ErrTooLarge, MaxProtectors)
	}
	r.suite = k.suite
	b := appendRootHeader(nil, r)
	for _, p := range r.Protectors {
		if len(p.ID) > maxName || len(p.Name) > maxName || len(p.Kind) > maxName || len(p.Blob) > maxBlob {
			return nil, fmt.Errorf("%w: protector", ErrTooLarge)
		}
		b = appendProtector(b, p)
	}
	sealed, err := r.suite.Seal(nil, keys.seal(r.suite), k.bytes(), b)
	if err != nil {
		return nil, err
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(sealed)))
	b = append(b, sealed...)
	mac := r.suite.MAC(keys.mac(), b)
	b = append(b, mac[:]...)
	sum := r.suite.Hash(b)
	b = append(b, sum[:]...)
	if len(b) > maxRootFile {
		return nil, fmt.Errorf("%w: root file", ErrTooLarge)
	}
	return parseRoot(b)
}

func appendRootHeader(b []byte, r Root) []byte {
	b = append(append(b, rootMagic...), rootFormat, byte(r.suite), r.Edition)
	b = append(b, r.VaultID[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Generation)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Created.UnixNano()))
	return binary.BigEndian.AppendUint16(b, uint16(len(r.Protectors)))
}

func appendProtector(b []byte, p Protector) []byte {
	for _, s := range []string{p.ID, p.Name, p.Kind} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	bound := byte(0)
	if p.MachineBound {
		bound = 1
	}
	b = append(b, bound)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Created.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Blob)))
	return append(b, p.Blob...)
}

// parseRoot parses a root file and checks its unkeyed hash.
func parseRoot(b []byte) (*Root, error) {
	bad := fmt.Errorf("%w: root file", ErrCorrupt)
	if len(b) < rootFixed+4+64 || len(b) > maxRootFile || !bytes.Equal(b[:6], rootMagic) || b[6] != rootFormat || !suite.ID(b[7]).Valid() {
		return nil, bad
	}
	r := &Root{suite: suite.ID(b[7]), Edition: b[8], raw: b}
	if sum := r.suite.Hash(b[:len(b)-32]); !bytes.Equal(sum[:], b[len(b)-32:]) {
		return nil, bad
	}
	copy(r.VaultID[:], b[9:])
	r.Generation = binary.BigEndian.Uint64(b[25:])
	r.Created = time.Unix(0, int64(binary.BigEndian.Uint64(b[33:]))).UTC()
	n := int(binary.BigEndian.Uint16(b[41:]))
	if n > MaxProtectors {
		return nil, bad
	}
	in := reader{b: b[rootFixed : len(b)-64]}
	for range n {
		r.Protectors = append(r.Protectors, in.protector())
	}
	r.sealed = in.bytes(int(in.uint(4)), maxRootFile)
	if in.bad || len(in.b) != 0 {
		return nil, bad
	}
	return r, nil
}

// unlock checks the MAC under the root and opens the keyring.
func (r *Root) unlock(a *lockedmem.Arena, keys *rootKeys) (*keyring, error) {
	signed := r.raw[:len(r.raw)-64]
	if !r.macHolds(keys.mac()) {
		return nil, fmt.Errorf("%w: wrong root, or the root file was changed", ErrUnlock)
	}
	plain, err := r.suite.Open(nil, keys.seal(r.suite), r.sealed, signed[:len(signed)-4-len(r.sealed)])
	if err != nil {
		return nil, fmt.Errorf("%w: the keyring in the root file", ErrCorrupt)
	}
	defer suite.Wipe(plain)
	return buildKeyring(a, r.suite, len(plain), func(b []byte) { copy(b, plain) })
}

// macHolds reports whether the file's MAC is valid under key.
func (r *Root) macHolds(key []byte) bool {
	mac := r.suite.MAC(key, r.raw[:len(r.raw)-64])
	return hmac.Equal(mac[:], r.raw[len(r.raw)-64:len(r.raw)-32])
}

// reader consumes fields from the front of b and sets bad at the first fault.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes(n, limit int) []byte {
	if n < 0 || n > limit || n > len(r.b) {
		r.bad = true
	}
	if r.bad {
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint(size int) uint64 {
	var n uint64
	for _, c := range r.bytes(size, 8) {
		n = n<<8 | uint64(c)
	}
	return n
}

func (r *reader) text() string { return string(r.bytes(int(r.uint(2)), maxName)) }

func (r *reader) protector() Protector {
	p := Protector{ID: r.text(), Name: r.text(), Kind: r.text()}
	bound := r.uint(1)
	r.bad = r.bad || bound > 1
	p.MachineBound = bound == 1
	p.Created = time.Unix(0, int64(r.uint(8))).UTC()
	p.Blob = r.bytes(int(r.uint(4)), maxBlob)
	return p
}
