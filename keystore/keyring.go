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
	keyringHeader = keySize + 2
	materialSize  = 4 + keySize
	// maxRecordEpochs is the largest number of roots over the life of a store. The record
	// key of each epoch is kept, because it opens the audit records of that epoch.
	maxRecordEpochs = 512
	// maxMaterialEpochs allows for the current epoch and, during a change, the past one.
	maxMaterialEpochs = 2
)

// keyring holds the vault secret and the epoch keys in locked memory, in the layout that
// the root file seals: the secret, the record key of every record epoch, and the material
// keys that are not destroyed. Record and material epochs are counted separately, so that
// a keyring does not grow with destroyed keys. A keyring is immutable; a new epoch makes
// a new keyring.
type keyring struct {
	redacted
	suite    suite.ID
	buf      *lockedmem.Buffer
	derived  *lockedmem.Buffer // path key, census key, tip key
	records  int               // record epochs 1 to records, the last is current
	material []materialEpoch   // ascending, the last is current
}

// materialEpoch is the number of a material epoch and the offset of its key in the
// buffer.
type materialEpoch struct {
	n   uint32
	off int
}

func materialAt(records int) int { return keyringHeader + records*keySize + 1 }

func keyringSize(records, material int) int { return materialAt(records) + material*materialSize }

// newKeyring makes a keyring with a fresh secret and epoch 1 of both kinds.
func newKeyring(a *lockedmem.Arena, id suite.ID) (*keyring, error) {
	return buildKeyring(a, id, keyringSize(1, 1), func(b []byte) {
		rand.Read(b)
		binary.BigEndian.PutUint16(b[keySize:], 1)
		b[materialAt(1)-1] = 1
		binary.BigEndian.PutUint32(b[materialAt(1):], 1)
	})
}

// renewed returns a copy of the keyring with one more epoch of both kinds. ErrTooLarge if
// the store has had maxRecordEpochs roots.
func (k *keyring) renewed(a *lockedmem.Arena) (*keyring, error) {
	if k.records == maxRecordEpochs {
		return nil, fmt.Errorf("%w: a store has at most %d roots in its life", ErrTooLarge, maxRecordEpochs)
	}
	return k.remake(a, k.records+1, k.material, true)
}

// nextMaterial returns a copy of the keyring with one more material epoch.
func (k *keyring) nextMaterial(a *lockedmem.Arena) (*keyring, error) {
	return k.remake(a, k.records, k.material, true)
}

// dropMaterial returns a copy of the keyring without the past material keys.
func (k *keyring) dropMaterial(a *lockedmem.Arena) (*keyring, error) {
	return k.remake(a, k.records, k.material[len(k.material)-1:], false)
}

// remake copies the secret, the record keys and the material keys in keep into a new
// keyring. Added keys are random.
func (k *keyring) remake(a *lockedmem.Arena, records int, keep []materialEpoch, fresh bool) (*keyring, error) {
	material := len(keep)
	if fresh {
		material++
	}
	return buildKeyring(a, k.suite, keyringSize(records, material), func(b []byte) {
		rand.Read(b)
		old := k.buf.Bytes()
		copy(b, old[:keyringHeader+k.records*keySize])
		binary.BigEndian.PutUint16(b[keySize:], uint16(records))
		at := materialAt(records)
		b[at-1] = byte(material)
		for _, e := range keep {
			at += copy(b[at:], old[e.off-4:e.off+keySize])
		}
		if fresh {
			binary.BigEndian.PutUint32(b[at:], k.current(Material)+1)
		}
	})
}

// buildKeyring allocates a locked buffer, calls fill to set it, and parses it as a
// keyring.
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
	k.records = int(binary.BigEndian.Uint16(b[keySize:]))
	at := materialAt(k.records)
	if k.records == 0 || k.records > maxRecordEpochs || len(b) < at {
		return fmt.Errorf("%w: keyring's record keys", ErrCorrupt)
	}
	n := int(b[at-1])
	if n == 0 || n > maxMaterialEpochs || len(b) != keyringSize(k.records, n) {
		return fmt.Errorf("%w: keyring's material keys", ErrCorrupt)
	}
	last := uint32(0)
	for ; at < len(b); at += materialSize {
		e := materialEpoch{n: binary.BigEndian.Uint32(b[at:]), off: at + 4}
		if e.n <= last {
			return fmt.Errorf("%w: keyring's material epochs are out of order", ErrCorrupt)
		}
		k.material, last = append(k.material, e), e.n
	}
	return nil
}

func (k *keyring) bytes() []byte     { return k.buf.Bytes()[:keyringSize(k.records, len(k.material))] }
func (k *keyring) secret() []byte    { return k.buf.Bytes()[:keySize] }
func (k *keyring) pathKey() []byte   { return k.derived.Bytes()[:keySize] }
func (k *keyring) censusKey() []byte { return k.derived.Bytes()[keySize : 2*keySize] }
func (k *keyring) tipKey() []byte    { return k.derived.Bytes()[2*keySize : 3*keySize] }

// current returns the epoch in which records of class are sealed now.
func (k *keyring) current(class Class) uint32 {
	if class == Material {
		return k.material[len(k.material)-1].n
	}
	return uint32(k.records)
}

// key returns the key of epoch n for records of class, or nil if there is none.
func (k *keyring) key(n uint32, class Class) []byte {
	if class != Material {
		if n == 0 || n > uint32(k.records) {
			return nil
		}
		off := keyringHeader + int(n-1)*keySize
		return k.buf.Bytes()[off : off+keySize]
	}
	for _, e := range k.material {
		if e.n == n {
			return k.buf.Bytes()[e.off : e.off+keySize]
		}
	}
	return nil
}

// pastMaterial reports whether the keyring has a past material key.
func (k *keyring) pastMaterial() bool { return len(k.material) > 1 }

func (k *keyring) free() {
	k.buf.Free()
	k.derived.Free()
}
