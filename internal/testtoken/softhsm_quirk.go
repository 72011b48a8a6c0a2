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
	// NestedTemplateFails: CKA_UNWRAP_TEMPLATE, whose value holds pointers, is
	// CKR_DEVICE_ERROR, as through p11-kit 0.24.
	NestedTemplateFails
	// NestedTemplateKills: likewise, and every later call fails until C_Finalize.
	NestedTemplateKills
	// GCMKills: AES-GCM is listed; its first use is CKR_DEVICE_ERROR, and every later call
	// fails until C_Finalize.
	GCMKills
	// NoPKCS1: RSA signs by PSS and not by PKCS #1 v1.5.
	NoPKCS1
	// LoginUnasked: CKF_LOGIN_REQUIRED is clear, and private objects want a login all the
	// same.
	LoginUnasked
	// TwoHandles: C_FindObjects shows each object under two handles.
	TwoHandles
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
