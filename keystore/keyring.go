package keystore

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

const (
	keySize       = 32
	epochSize     = 4 + 1 + 2*keySize
	keyringHeader = keySize + 4 + 2
	maxEpochs     = 512
)

// keyring holds the vault secret and the keys of every epoch in locked memory,
// in the layout in which the root file seals them. It never changes: a new
// epoch makes a new keyring.
type keyring struct {
	suite   suite.ID
	buf     *lockedmem.Buffer // secret, current epoch, count, epochs
	derived *lockedmem.Buffer // path key, census key, tip key
	epochs  []epoch
	current uint32
}

// epoch is where an epoch's keys stand in the buffer.
type epoch struct {
	n        uint32
	off      int
	material bool
}

func keyringSize(epochs int) int { return keyringHeader + epochs*epochSize }

// newKeyring makes a keyring with a fresh secret and epoch 1.
func newKeyring(a *lockedmem.Arena, id suite.ID) (*keyring, error) {
	return buildKeyring(a, id, keyringSize(1), func(b []byte) {
		rand.Read(b[:keySize])
		binary.BigEndian.PutUint32(b[keySize:], 1)
		binary.BigEndian.PutUint16(b[keySize+4:], 1)
		freshEpoch(b[keyringHeader:], 1)
	})
}

// next answers a keyring that has one more epoch, which is current.
func (k *keyring) next(a *lockedmem.Arena) (*keyring, error) {
	old := k.buf.Bytes()[:keyringSize(len(k.epochs))]
	return buildKeyring(a, k.suite, len(old)+epochSize, func(b []byte) {
		copy(b, old)
		binary.BigEndian.PutUint32(b[keySize:], k.current+1)
		binary.BigEndian.PutUint16(b[keySize+4:], uint16(len(k.epochs)+1))
		freshEpoch(b[len(old):], k.current+1)
	})
}

// dropMaterial answers a keyring whose past epochs have no material key.
func (k *keyring) dropMaterial(a *lockedmem.Arena) (*keyring, error) {
	old := k.buf.Bytes()[:keyringSize(len(k.epochs))]
	return buildKeyring(a, k.suite, len(old), func(b []byte) {
		copy(b, old)
		for _, e := range k.epochs {
			if e.n != k.current {
				b[e.off+4] = 0
				suite.Wipe(b[e.off+5+keySize : e.off+epochSize])
			}
		}
	})
}

func freshEpoch(b []byte, n uint32) {
	binary.BigEndian.PutUint32(b, n)
	b[4] = 1
	rand.Read(b[5:epochSize])
}

// buildKeyring fills a locked buffer and reads it back as a keyring.
func buildKeyring(a *lockedmem.Arena, id suite.ID, size int, fill func([]byte)) (*keyring, error) {
	buf, err := a.Alloc(size)
	if err != nil {
		return nil, err
	}
	fill(buf.Bytes()[:size])
	k := &keyring{suite: id, buf: buf}
	if err := k.parse(buf.Bytes()[:size]); err != nil {
		buf.Free()
		return nil, err
	}
	if k.derived, err = a.Alloc(3 * keySize); err != nil {
		buf.Free()
		return nil, err
	}
	d := k.derived.Bytes()
	id.KDF(d[:keySize], k.secret(), "strongroom/path", nil)
	id.KDF(d[keySize:2*keySize], k.secret(), "strongroom/census", nil)
	id.KDF(d[2*keySize:3*keySize], k.secret(), "strongroom/tip", nil)
	return k, nil
}

func (k *keyring) parse(b []byte) error {
	if len(b) < keyringHeader {
		return fmt.Errorf("%w: keyring is short", ErrCorrupt)
	}
	k.current = binary.BigEndian.Uint32(b[keySize:])
	n := int(binary.BigEndian.Uint16(b[keySize+4:]))
	if n == 0 || n > maxEpochs || len(b) != keyringSize(n) {
		return fmt.Errorf("%w: keyring has a wrong size", ErrCorrupt)
	}
	for i := range n {
		off := keyringHeader + i*epochSize
		e := epoch{n: binary.BigEndian.Uint32(b[off:]), off: off, material: b[off+4] == 1}
		if e.n != uint32(i+1) {
			return fmt.Errorf("%w: keyring's epochs are out of order", ErrCorrupt)
		}
		k.epochs = append(k.epochs, e)
	}
	if k.current != uint32(n) || !k.epochs[n-1].material {
		return fmt.Errorf("%w: keyring lacks its current epoch", ErrCorrupt)
	}
	return nil
}

func (k *keyring) bytes() []byte     { return k.buf.Bytes()[:keyringSize(len(k.epochs))] }
func (k *keyring) secret() []byte    { return k.buf.Bytes()[:keySize] }
func (k *keyring) pathKey() []byte   { return k.derived.Bytes()[:keySize] }
func (k *keyring) censusKey() []byte { return k.derived.Bytes()[keySize : 2*keySize] }
func (k *keyring) tipKey() []byte    { return k.derived.Bytes()[2*keySize : 3*keySize] }

// key is the epoch key that seals records of class, nil if there is none.
func (k *keyring) key(n uint32, class Class) []byte {
	if n == 0 || int(n) > len(k.epochs) {
		return nil
	}
	e := k.epochs[n-1]
	if class != Material {
		return k.buf.Bytes()[e.off+5 : e.off+5+keySize]
	}
	if !e.material {
		return nil
	}
	return k.buf.Bytes()[e.off+5+keySize : e.off+epochSize]
}

// pastMaterial tells whether a past epoch still has its material key.
func (k *keyring) pastMaterial() bool {
	for _, e := range k.epochs {
		if e.material && e.n != k.current {
			return true
		}
	}
	return false
}

func (k *keyring) free() {
	k.buf.Free()
	k.derived.Free()
}
