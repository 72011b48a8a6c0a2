//go:build cgo && unix

package pkcs11

import (
	"sync"

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
}

type tierKey struct {
	how   string
	kind  uint // CKK
	usage driver.Usage
}

func (b *tierBook) get(k tierKey) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.best[k]
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
// takes. Some tokens fail on an attribute that they cannot store; that is not
// remembered, since the next failure may have another cause.
func (s session) inTiers(how string, r request, make func(tier int) (p11.ObjectHandle, error)) (o p11.ObjectHandle, err error) {
	key := tierKey{how, r.shape.kind, r.shape.spec.Usage}
	first := s.epoch.tiers.get(key)
	refused := true
	last := tierBare
	if r.shape.secret() {
		last = tierBase
	}
	for tier := first; tier <= last; tier++ {
		o, err = make(tier)
		switch {
		case err == nil && refused && tier > first:
			s.epoch.tiers.set(key, tier)
			return o, nil
		case codeOf(err) == p11.CKR_GENERAL_ERROR:
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

func templateRefused(err error) bool {
	switch codeOf(err) {
	case p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_VALUE_INVALID, p11.CKR_TEMPLATE_INCONSISTENT, p11.CKR_ATTRIBUTE_READ_ONLY:
		return true
	}
	return false
}
