//go:build cgo && unix

package pkcs11

import (
	"sync"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// The tiers of a template, from the one that asks most. Tokens refuse attributes
// that they do not know.
const (
	tierMechanisms = iota // CKA_ALLOWED_MECHANISMS as well
	tierCopyable          // CKA_COPYABLE as well
	tierModifiable        // CKA_MODIFIABLE as well
	tierBase
	tierBare // of a pair, without CKA_PRIVATE of the public half, and the roles of recovery where it signs
)

// A tierBook remembers which tier a token takes, for each way to make a kind of key for
// a usage: what a token refuses of keys that unwrap the others need not go without.
// The self-test fills it, with keys of a session where the token makes such: SoftHSM
// leaves half an object behind when it refuses a template for C_UnwrapKey, and a
// session's end there.
type tierBook struct {
	mu   sync.Mutex
	best map[tierKey]int
	// nested: the token takes CKA_UNWRAP_TEMPLATE. nestedDied: it failed for good when that
	// was tried, or it is being tried.
	nested, nestedDied atomic.Bool
}

type tierKey struct {
	how   string
	kind  uint // CKK
	usage driver.Usage
}

// get also reports whether the tier was seen to work.
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

// inTiers makes an object with the template that asks most of those that the token
// takes. Some tokens fail on an attribute that they cannot store or pass on; the next tier
// is tried then, and is not remembered, because the next failure may have another cause.
// CKR_DEVICE_ERROR and CKR_FUNCTION_FAILED are taken so only until a tier was seen to work:
// a token that is busy does not get keys with less protection.
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
