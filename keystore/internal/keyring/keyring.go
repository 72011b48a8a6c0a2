// Package keyring keeps a vault's secret and the keys of its epochs in locked memory.
package keyring

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/redact"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/fault"
)

// redacted, when embedded, keeps a type from printing its contents.
type redacted = redact.Secret

const (
	// KeySize is the length of the root and of every key, in bytes.
	KeySize      = 32
	headerSize   = KeySize + 2
	materialSize = 4 + KeySize
	// maxRecordEpochs is the largest number of roots over the life of a store. The record
	// key of each epoch is kept, because it opens the audit records of that epoch.
	maxRecordEpochs = 512
	// maxMaterialEpochs allows for the current epoch and, during a change, the past one.
	maxMaterialEpochs = 2
)

// A Class determines which epoch key seals a record.
type Class uint8

// The classes. Those of mutable records come first.
const (
	Meta     Class = iota // a record that is sealed under the record key of its epoch, which is kept
	Material              // a record that is sealed under the material key of its epoch, which is destroyed
	Log                   // a segment of the audit log
	Head                  // the head
)

// A Purpose selects a key for MACs, which is derived from the secret.
type Purpose int

// The purposes.
const (
	Paths Purpose = iota
	Census
	Tip
	Journal
	purposes
)

// A Keyring holds the vault secret and the epoch keys in locked memory, in the layout that
// the root file seals: the secret, the record key of every record epoch, and the material
// keys that are not destroyed. Record and material epochs are counted separately, so that
// a keyring does not grow with destroyed keys. A Keyring is immutable; a new epoch makes
// a new one.
type Keyring struct {
	redacted
	suite    suite.ID
	buf      *lockedmem.Buffer
	derived  *lockedmem.Buffer // a key for each purpose
	records  int               // record epochs 1 to records, the last is current
	material []materialEpoch   // ascending, the last is current
}

// materialEpoch is the number of a material epoch and the offset of its key in the
// buffer.
type materialEpoch struct {
	n   uint32
	off int
}

func materialAt(records int) int { return headerSize + records*KeySize + 1 }

func sizeOf(records, material int) int { return materialAt(records) + material*materialSize }

// New makes a keyring with a fresh secret and epoch 1 of both kinds.
func New(a *lockedmem.Arena, id suite.ID) (*Keyring, error) {
	return build(a, id, sizeOf(1, 1), func(b []byte) {
		rand.Read(b)
		binary.BigEndian.PutUint16(b[KeySize:], 1)
		b[materialAt(1)-1] = 1
		binary.BigEndian.PutUint32(b[materialAt(1):], 1)
	})
}

// Renewed returns a copy of the keyring with one more epoch of both kinds. ErrTooLarge if
// the store has had maxRecordEpochs roots.
func (k *Keyring) Renewed(a *lockedmem.Arena) (*Keyring, error) {
	if k.records == maxRecordEpochs {
		return nil, fmt.Errorf("%w: a store has at most %d roots in its life", fault.ErrTooLarge, maxRecordEpochs)
	}
	return k.remake(a, k.records+1, k.material, true)
}

// NextMaterial returns a copy of the keyring with one more material epoch.
func (k *Keyring) NextMaterial(a *lockedmem.Arena) (*Keyring, error) {
	return k.remake(a, k.records, k.material, true)
}

// DropMaterial returns a copy of the keyring without the past material keys.
func (k *Keyring) DropMaterial(a *lockedmem.Arena) (*Keyring, error) {
	return k.remake(a, k.records, k.material[len(k.material)-1:], false)
}

// remake copies the secret, the record keys and the material keys in keep into a new
// keyring. Added keys are random.
func (k *Keyring) remake(a *lockedmem.Arena, records int, keep []materialEpoch, fresh bool) (*Keyring, error) {
	material := len(keep)
	if fresh {
		material++
	}
	return build(a, k.suite, sizeOf(records, material), func(b []byte) {
		rand.Read(b)
		old := k.buf.Bytes()
		copy(b, old[:headerSize+k.records*KeySize])
		binary.BigEndian.PutUint16(b[KeySize:], uint16(records))
		at := materialAt(records)
		b[at-1] = byte(material)
		for _, e := range keep {
			at += copy(b[at:], old[e.off-4:e.off+KeySize])
		}
		if fresh {
			binary.BigEndian.PutUint32(b[at:], k.Current(Material)+1)
		}
	})
}

// FromBytes makes a keyring of bytes that Bytes returned. It copies them.
func FromBytes(a *lockedmem.Arena, id suite.ID, b []byte) (*Keyring, error) {
	return build(a, id, len(b), func(dst []byte) { copy(dst, b) })
}

// build allocates a locked buffer, calls fill to set it, and parses it as a keyring.
func build(a *lockedmem.Arena, id suite.ID, size int, fill func([]byte)) (*Keyring, error) {
	buf, err := a.Alloc(size)
	if err != nil {
		return nil, err
	}
	fill(buf.Bytes()[:size])
	k := &Keyring{suite: id, buf: buf}
	if err := k.parse(buf.Bytes()[:size]); err != nil {
		buf.Free()
		return nil, err
	}
	if k.derived, err = a.Alloc(int(purposes) * KeySize); err != nil {
		buf.Free()
		return nil, err
	}
	for p, label := range labels {
		id.KDF(k.macKey(Purpose(p)), k.secret(), label, nil)
	}
	return k, nil
}

// labels are those from which the keys for MACs are derived.
var labels = [purposes]string{
	Paths: "strongroom/path", Census: "strongroom/census", Tip: "strongroom/tip", Journal: "strongroom/journal",
}

func (k *Keyring) parse(b []byte) error {
	if len(b) < headerSize {
		return fmt.Errorf("%w: keyring is short", fault.ErrCorrupt)
	}
	k.records = int(binary.BigEndian.Uint16(b[KeySize:]))
	at := materialAt(k.records)
	if k.records == 0 || k.records > maxRecordEpochs || len(b) < at {
		return fmt.Errorf("%w: keyring's record keys", fault.ErrCorrupt)
	}
	n := int(b[at-1])
	if n == 0 || n > maxMaterialEpochs || len(b) != sizeOf(k.records, n) {
		return fmt.Errorf("%w: keyring's material keys", fault.ErrCorrupt)
	}
	last := uint32(0)
	for ; at < len(b); at += materialSize {
		e := materialEpoch{n: binary.BigEndian.Uint32(b[at:]), off: at + 4}
		if e.n <= last {
			return fmt.Errorf("%w: keyring's material epochs are out of order", fault.ErrCorrupt)
		}
		k.material, last = append(k.material, e), e.n
	}
	return nil
}

// Suite returns the suite of the keys.
func (k *Keyring) Suite() suite.ID { return k.suite }

// Bytes returns the keyring in the layout that the root file seals. They are secret, and
// the caller must not change them.
func (k *Keyring) Bytes() []byte { return k.buf.Bytes()[:sizeOf(k.records, len(k.material))] }

func (k *Keyring) secret() []byte { return k.buf.Bytes()[:KeySize] }

func (k *Keyring) macKey(p Purpose) []byte {
	return k.derived.Bytes()[int(p)*KeySize : (int(p)+1)*KeySize]
}

// MAC returns the MAC over parts under the key for a purpose.
func (k *Keyring) MAC(p Purpose, parts ...[]byte) [32]byte { return k.suite.MAC(k.macKey(p), parts...) }

// Derive fills dst with the secret that is derived for label and context.
func (k *Keyring) Derive(dst []byte, label string, context []byte) {
	k.suite.KDF(dst, k.secret(), label, context)
}

// SameSecret reports whether both keyrings have the same secret, as those of one store have.
func (k *Keyring) SameSecret(o *Keyring) bool { return hmac.Equal(k.secret(), o.secret()) }

// Current returns the epoch in which records of class are sealed now.
func (k *Keyring) Current(class Class) uint32 {
	if class == Material {
		return k.material[len(k.material)-1].n
	}
	return uint32(k.records)
}

// Key returns the key of epoch n for records of class, or nil if there is none.
func (k *Keyring) Key(n uint32, class Class) []byte {
	if class != Material {
		if n == 0 || n > uint32(k.records) {
			return nil
		}
		off := headerSize + int(n-1)*KeySize
		return k.buf.Bytes()[off : off+KeySize]
	}
	for _, e := range k.material {
		if e.n == n {
			return k.buf.Bytes()[e.off : e.off+KeySize]
		}
	}
	return nil
}

// PastMaterial reports whether the keyring has a past material key.
func (k *Keyring) PastMaterial() bool { return len(k.material) > 1 }

// Free wipes the keys.
func (k *Keyring) Free() {
	k.buf.Free()
	k.derived.Free()
}
