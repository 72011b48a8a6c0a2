//go:build cgo && unix

package pkcs11

import (
	"sync"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// The tiers of a template, beginning with the one that has the most attributes. Tokens
// refuse attributes that they do not know.
const (
	tierMechanisms = iota // with CKA_ALLOWED_MECHANISMS
	tierCopyable          // with CKA_COPYABLE
	tierModifiable        // with CKA_MODIFIABLE
	tierBase
	tierBare // for a pair: without CKA_PRIVATE of the public key, and without the recovery roles if it signs
)

// A tierBook remembers which tier a token accepts, for each way to make a key, key type
// and usage, because a token may refuse for keys that unwrap what it accepts for others.
// The self-test fills it, with session keys if the token makes them: SoftHSM leaves half
// an object when it refuses a template for C_UnwrapKey, and the end of the session
// removes it.
type tierBook struct {
	mu   sync.Mutex
	best map[tierKey]int
	// nested: the token supports CKA_UNWRAP_TEMPLATE. nestedDied: it failed permanently
	// when that was tried, or the trial is in progress.
	nested, nestedDied atomic.Bool
}

type tierKey struct {
	how   string
	kind  uint // CKK
	usage driver.Usage
}

// get returns a tier and reports whether it is known to work.
func (b *tierBook) get(k tierKey) (tier int, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	tier, known = b.best[k]
	return tier, known
}

func (b *tierBook) set(k tierKey, tier int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.best == nil {
		b.best = make(map[tierKey]int)
	}
	b.best[k] = tier
}

// inTiers makes an object with the highest tier that the token accepts. Some tokens fail
// with a general error for an attribute that they cannot store or forward. The next tier
// is then tried, but not remembered, because the failure may have another cause.
// CKR_DEVICE_ERROR and CKR_FUNCTION_FAILED count as such only until a tier is known to
// work, so that a busy token does not get keys with less protection.
func (s session) inTiers(how string, r request, make func(tier int) (p11.ObjectHandle, error)) (o p11.ObjectHandle, err error) {
	key := tierKey{how, r.shape.kind, r.shape.spec.Usage}
	first, known := s.epoch.tiers.get(key)
	refused := true
	last := tierBare
	if r.shape.secret() {
		last = tierBase
	}
	for tier := first; tier <= last; tier++ {
		o, err = make(tier)
		switch {
		case err == nil:
			if refused && (tier > first || !known) {
				s.epoch.tiers.set(key, tier)
			}
			return o, nil
		case codeOf(err) == p11.CKR_GENERAL_ERROR, !known && deviceFails(err):
			refused = false
			if swept := s.sweep(r.id); swept != nil {
				return 0, err
			}
		case !templateRefused(err):
			return o, err
		}
	}
	return o, err
}

func deviceFails(err error) bool {
	code := codeOf(err)
	return code == p11.CKR_DEVICE_ERROR || code == p11.CKR_FUNCTION_FAILED
}

func templateRefused(err error) bool {
	switch codeOf(err) {
	case p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_VALUE_INVALID, p11.CKR_TEMPLATE_INCONSISTENT, p11.CKR_ATTRIBUTE_READ_ONLY:
		return true
	}
	return false
}
