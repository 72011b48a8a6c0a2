package suite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/emmansun/gmsm/sm4"
)

// ErrOpen is the error for every way in which a sealed text can be wrong.
var ErrOpen = errors.New("suite: not authentic")

// An AEAD is AES-256-GCM, AES-128-GCM or SM4-GCM with a random 96-bit nonce within the
// sealed text (SP 800-38D, 8.2.2). At most 2^32 texts may be sealed under one key. It is
// safe for concurrent use until Wipe. Its state is secret; it prints redacted.
type AEAD struct {
	redacted
	gcm cipher.AEAD
	// block is the block cipher under gcm. It is wiped together with gcm, because the two
	// may share memory. It is nil if they were proven not to share memory; then it was
	// wiped already.
	block cipher.Block
	// framed reports that gcm generates the nonce itself and puts it first.
	framed bool
}

// NewAEAD returns an AEAD. A key whose length is not KeySize is an error. The caller may
// wipe the key at once, and calls Wipe on the AEAD after its last use.
func (id ID) NewAEAD(key []byte) (*AEAD, error) {
	a, err := id.newAEAD(key)
	if err != nil {
		return nil, err
	}
	return a.separate(), nil
}

// separate wipes the block if nothing shares its memory.
func (a *AEAD) separate() *AEAD {
	if apart(a.gcm, a.block) { // then one copy of the round keys less exists while the AEAD is in use
		WipeState(a.block)
		a.block = nil
	}
	return a
}

// DataKeySizes returns the sizes in bytes of the keys that NewDataAEAD takes: 32 and 16
// for AES, 16 for SM. The first is KeySize.
func (id ID) DataKeySizes() []int {
	switch id {
	case AES:
		return []int{32, 16}
	case SM:
		return []int{16}
	}
	return nil
}

// NewDataAEAD is NewAEAD for a caller's own key of any of the DataKeySizes: AES-128-GCM
// for 16 bytes in suite AES.
func (id ID) NewDataAEAD(key []byte) (*AEAD, error) {
	if !slices.Contains(id.DataKeySizes(), len(key)) {
		return nil, fmt.Errorf("suite: a key of %d bytes does not fit %v", len(key), id)
	}
	a, err := id.build(key)
	if err != nil {
		return nil, err
	}
	return a.separate(), nil
}

// newAEAD returns an AEAD that also holds its block.
func (id ID) newAEAD(key []byte) (*AEAD, error) {
	if !id.Valid() || len(key) != id.KeySize() {
		return nil, fmt.Errorf("suite: a key of %d bytes does not fit %v", len(key), id)
	}
	return id.build(key)
}

// build is newAEAD for a key whose size has been checked.
func (id ID) build(key []byte) (*AEAD, error) {
	block, err := id.newBlock(key)
	if err != nil {
		return nil, fmt.Errorf("suite: %v: %w", id, err)
	}
	a := &AEAD{block: block}
	if err := a.open(id); err != nil {
		WipeState(block)
		return nil, fmt.Errorf("suite: %v: %w", id, err)
	}
	return a, nil
}

func (id ID) newBlock(key []byte) (cipher.Block, error) {
	if id == SM {
		return sm4.NewCipher(key)
	}
	return aes.NewCipher(key)
}

// open creates the GCM of the block. For AES the cryptographic module generates the
// nonce, as FIPS 140-3 requires.
func (a *AEAD) open(id ID) (err error) {
	if id == SM {
		a.gcm, err = cipher.NewGCM(a.block)
		return err
	}
	a.framed = true
	a.gcm, err = cipher.NewGCMWithRandomNonce(a.block)
	return err
}

// Seal appends nonce, ciphertext and tag to dst, which is Overhead bytes more than the
// plaintext. It may be done in place, with plaintext[:0] as dst, as in cipher.AEAD.
func (a *AEAD) Seal(dst, plaintext, aad []byte) ([]byte, error) {
	if a.framed {
		return a.gcm.Seal(dst, nil, plaintext, aad), nil
	}
	dst = slices.Grow(dst, len(plaintext)+Overhead)
	if Overlap(dst, plaintext) { // because the nonce shifts the text
		plaintext = slices.Clone(plaintext)
		defer Wipe(plaintext)
	}
	nonce := dst[len(dst) : len(dst)+nonceSize]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return a.gcm.Seal(dst[:len(dst)+nonceSize], nonce, plaintext, aad), nil
}

// Open appends the plaintext to dst. Every fault is ErrOpen. It may be done in place,
// with sealed[:0] as dst.
func (a *AEAD) Open(dst, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrOpen
	}
	var nonce []byte
	if !a.framed {
		if Overlap(dst, sealed) {
			sealed = slices.Clone(sealed)
		}
		nonce, sealed = sealed[:nonceSize], sealed[nonceSize:]
	}
	plaintext, err := a.gcm.Open(dst, nonce, sealed, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// Wipe zeroes the cipher state: round keys and hash key. The AEAD must not be in use, and
// must not be used afterwards: Seal and Open panic. Calling Wipe twice has no effect.
func (a *AEAD) Wipe() {
	if a.gcm != nil {
		WipeState(a.gcm)
		WipeState(a.block)
		a.gcm, a.block = nil, nil
	}
}

// Seal seals one text under key, and wipes the cipher state.
func (id ID) Seal(dst, key, plaintext, aad []byte) ([]byte, error) {
	a, err := id.newAEAD(key)
	if err != nil {
		return nil, err
	}
	defer a.Wipe()
	return a.Seal(dst, plaintext, aad)
}

// Open opens one text under key, and wipes the cipher state. Every fault is ErrOpen,
// including a key of a wrong size.
func (id ID) Open(dst, key, sealed, aad []byte) ([]byte, error) {
	a, err := id.newAEAD(key)
	if err != nil {
		return nil, ErrOpen
	}
	defer a.Wipe()
	return a.Open(dst, sealed, aad)
}

// Overlap reports whether appending to dst may overwrite src.
func Overlap(dst, src []byte) bool {
	room := dst[len(dst):cap(dst)]
	if len(room) == 0 || len(src) == 0 {
		return false
	}
	to, from := uintptr(unsafe.Pointer(&room[0])), uintptr(unsafe.Pointer(&src[0]))
	return to < from+uintptr(len(src)) && from < to+uintptr(len(room))
}
