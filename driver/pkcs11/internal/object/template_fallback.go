//go:build cgo && unix

package object

import (
	"sync"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// The levels of a template, beginning with the one that has the most attributes. Tokens
// refuse attributes that they do not know.
const (
	levelMechanisms = iota // with CKA_ALLOWED_MECHANISMS
	levelCopyable          // with CKA_COPYABLE
	levelModifiable        // with CKA_MODIFIABLE
	levelBase
	levelBare // for a pair: without CKA_PRIVATE of the public key, and without the recovery roles if it signs
)

// A FallbackLevels remembers which level a token accepts, for each way to make a key, key
// type and usage, because a token may refuse for keys that unwrap what it accepts for
// others. The self-test fills it, with session keys if the token makes them: SoftHSM
// leaves half an object when it refuses a template for C_UnwrapKey, and the end of the
// session removes it.
type FallbackLevels struct {
	mu   sync.Mutex
	best map[levelKey]int
	// Nested: the token supports CKA_UNWRAP_TEMPLATE. nestedDied: it failed permanently
	// when that was tried, or the trial is in progress.
	Nested, NestedDied atomic.Bool
}

type levelKey struct {
	how   string
	kind  uint // CKK
	usage driver.Usage
}

// get returns a level and reports whether it is known to work.
func (b *FallbackLevels) get(k levelKey) (level int, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	level, known = b.best[k]
	return level, known
}

func (b *FallbackLevels) set(k levelKey, level int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.best == nil {
		b.best = make(map[levelKey]int)
	}
	b.best[k] = level
}

// withFallback makes an object with the highest level that the token accepts. Some tokens
// fail with a general error for an attribute that they cannot store or forward. The next
// level is then tried, but not remembered, because the failure may have another cause.
// CKR_DEVICE_ERROR and CKR_FUNCTION_FAILED count as such only until a level is known to
// work, so that a busy token does not get keys with less protection.
func (s Session) withFallback(how string, r KeyRequest, make func(level int) (p11.ObjectHandle, error)) (o p11.ObjectHandle, err error) {
	key := levelKey{how, r.Shape.Kind, r.Shape.Spec.Usage}
	first, known := s.Epoch.Levels.get(key)
	refused := true
	last := levelBare
	if r.Shape.Secret() {
		last = levelBase
	}
	for level := first; level <= last; level++ {
		o, err = make(level)
		switch {
		case err == nil:
			if refused && (level > first || !known) {
				s.Epoch.Levels.set(key, level)
			}
			return o, nil
		case cryptoki.CodeOf(err) == p11.CKR_GENERAL_ERROR, !known && deviceFails(err):
			refused = false
			if destroyErr := s.DestroyByID(r.ID); destroyErr != nil {
				return 0, err
			}
		case !templateRefused(err):
			return o, err
		}
	}
	return o, err
}

func deviceFails(err error) bool {
	code := cryptoki.CodeOf(err)
	return code == p11.CKR_DEVICE_ERROR || code == p11.CKR_FUNCTION_FAILED
}

func templateRefused(err error) bool {
	switch cryptoki.CodeOf(err) {
	case p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_VALUE_INVALID, p11.CKR_TEMPLATE_INCONSISTENT, p11.CKR_ATTRIBUTE_READ_ONLY:
		return true
	}
	return false
}
