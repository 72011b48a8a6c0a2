//go:build unix

package testtoken

import "sync/atomic"

// A Quirk is a behaviour of some real tokens.
type Quirk uint32

// The quirks, numbered as in the faulty module.
const (
	// NoUnwrapTemplate: the token rejects CKA_UNWRAP_TEMPLATE.
	NoUnwrapTemplate Quirk = 1 << iota
	// NoSessionObjects: the token creates token objects only.
	NoSessionObjects
	// TokenIgnored: no object is persistent, whatever CKA_TOKEN says.
	TokenIgnored
	// Keypad: the PIN is typed on the token, unless one is given.
	Keypad
	// SessionsReused: a new session has the lowest free handle.
	SessionsReused
	// ObjectsReused: a new object has the lowest free handle.
	ObjectsReused
	// ForgetsUndestroyed: an object whose destruction failed is not found until the
	// module is finalised, as on SoftHSM.
	ForgetsUndestroyed
	// TellsLimit: the token information contains the maximum number of sessions.
	TellsLimit
	// FewRoles: the token rejects a key for recovery whose roles differ from those for
	// signing, and a public key that is not private.
	FewRoles
	// WantsType: templates must contain class and type, even where the mechanism implies
	// them.
	WantsType
	// NestedTemplateFails: CKA_UNWRAP_TEMPLATE, whose value contains pointers, fails with
	// CKR_DEVICE_ERROR, as through p11-kit 0.24.
	NestedTemplateFails
	// NestedTemplateKills: as NestedTemplateFails, and every later call fails until
	// C_Finalize.
	NestedTemplateKills
	// EdDSAKills: EdDSA is listed, but its first use fails with CKR_DEVICE_ERROR, and
	// every later call fails until C_Finalize.
	EdDSAKills
	// NoPKCS1: RSA signs by PSS, not by PKCS #1 v1.5.
	NoPKCS1
	// LoginUnasked: CKF_LOGIN_REQUIRED is clear, but private objects require a login.
	LoginUnasked
	// TwoHandles: C_FindObjects returns each object under two handles.
	TwoHandles
)

// Be sets the token's quirks, and removes all others. Quirks of handles must be set
// before the first session.
func (f FaultyPKCS11) Be(quirks ...Quirk) {
	var all Quirk
	for _, q := range quirks {
		all |= q
	}
	atomic.StoreUint32(&f.words[7], uint32(all))
}
