package webapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// A Keyring holds secret keys that sign requests, in locked memory, by their public ids. P is
// the type of the principal that a key stands for. It is safe for concurrent use.
type Keyring[P any] struct {
	arena *lockedmem.Arena
	mu    sync.RWMutex // held for reading while a secret is in use
	keys  map[string]*signingKey[P]
}

type signingKey[P any] struct {
	secret    *lockedmem.Buffer
	principal P
	// derived is the key that steps derive from secret. It is kept because all requests of a
	// day have the same one. steps is nil before the first request.
	derived *lockedmem.Buffer
	steps   []string
}

// NewKeyring returns a keyring without keys.
func NewKeyring[P any]() *Keyring[P] {
	return &Keyring[P]{arena: lockedmem.New(0), keys: make(map[string]*signingKey[P])}
}

// Has reports whether there is a key of this id.
func (k *Keyring[P]) Has(id string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, ok := k.keys[id]
	return ok
}

// Add copies a key into the keyring. prefix stands before the secret in the first key of a
// derivation.
func (k *Keyring[P]) Add(id, prefix string, secret []byte, principal P) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	own, err := k.arena.Alloc(len(prefix) + len(secret))
	if err != nil {
		return err
	}
	derived, err := k.arena.Alloc(sha256.Size)
	if err != nil {
		own.Free()
		return err
	}
	copy(own.Bytes(), prefix)
	copy(own.Bytes()[len(prefix):], secret)
	k.keys[id] = &signingKey[P]{secret: own, principal: principal, derived: derived}
	return nil
}

// Verify compares signature, in constant time, with the HMAC of message under the key that is
// derived from the key id by the steps, of which there is at least one. known is false if there
// is no such key.
func (k *Keyring[P]) Verify(id string, message, signature []byte, steps ...string) (principal P, known, valid bool) {
	var key [sha256.Size]byte
	defer suite.Wipe(key[:])
	principal, known, kept := k.derive(key[:], id, steps)
	if !known {
		return principal, false, false
	}
	want := sum(key[:], message)
	defer suite.Wipe(want)
	valid = hmac.Equal(want, signature)
	if valid && !kept { // a stranger replaces nothing
		k.keep(key[:], id, steps)
	}
	return principal, true, valid
}

// derive puts the key that the steps derive from the key id into dst. kept reports that it was
// derived before.
func (k *Keyring[P]) derive(dst []byte, id string, steps []string) (principal P, known, kept bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, known := k.keys[id]
	if !known {
		return principal, false, false
	}
	if slices.Equal(key.steps, steps) {
		copy(dst, key.derived.Bytes())
		return key.principal, true, true
	}
	from := key.secret.Bytes()
	for _, step := range steps {
		next := sum(from, []byte(step))
		copy(dst, next)
		suite.Wipe(next)
		from = dst
	}
	return key.principal, true, false
}

// keep keeps a derived key of the key id.
func (k *Keyring[P]) keep(derived []byte, id string, steps []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.keys[id]; ok {
		copy(key.derived.Bytes(), derived)
		key.steps = slices.Clone(steps)
	}
}

// sum returns HMAC-SHA256, which the caller wipes.
func sum(key, message []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(message)
	return m.Sum(nil)
}

// Close wipes the keys. It may be called twice.
func (k *Keyring[P]) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, key := range k.keys {
		key.secret.Free()
		key.derived.Free()
		delete(k.keys, id)
	}
	return k.arena.Close()
}

// CheckCredential returns what is wrong with a credential: the id has 1 to 128 bytes of
// A-Z a-z 0-9 _ and -, the secret 16 to 1024 bytes.
func CheckCredential(id string, secret []byte) error {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
	}
	switch {
	case len(id) < 1 || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return !plain(r) }):
		return fmt.Errorf("the id of a credential has 1 to 128 bytes of A-Z a-z 0-9 _ and -")
	case len(secret) < 16 || len(secret) > 1024:
		return fmt.Errorf("the secret key of a credential has 16 to 1024 bytes")
	}
	return nil
}
