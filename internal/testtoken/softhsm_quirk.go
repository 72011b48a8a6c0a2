//go:build unix

package testtoken

import "sync/atomic"

// A Quirk is what some tokens are like.
type Quirk uint32

// The quirks, as the faulty module has them.
const (
	// NoUnwrapTemplate: CKA_UNWRAP_TEMPLATE is refused.
	NoUnwrapTemplate Quirk = 1 << iota
	// NoSessionObjects: only objects that last are made.
	NoSessionObjects
	// TokenIgnored: no object lasts, whatever CKA_TOKEN says.
	TokenIgnored
	// Keypad: the PIN is typed on the token, if none is given.
	Keypad
	// SessionsReused: a new session has the lowest handle that is free.
	SessionsReused
	// ObjectsReused: likewise for objects.
	ObjectsReused
	// ForgetsUndestroyed: an object that could not be destroyed is not found until the
	// module is finalised, as on SoftHSM.
	ForgetsUndestroyed
	// TellsLimit: the token information says how many sessions there may be.
	TellsLimit
	// FewRoles: the roles of recovery are refused where they are not as those of signing,
	// and so is a public half that is not private.
	FewRoles
	// WantsType: templates name class and type, also where the mechanism tells them.
	WantsType
)

// Be gives the token quirks, and takes all others from it. Those of handles are for the
// time before the first session.
func (f FaultyPKCS11) Be(quirks ...Quirk) {
	var all Quirk
	for _, q := range quirks {
		all |= q
	}
	atomic.StoreUint32(&f.words[7], uint32(all))
}
