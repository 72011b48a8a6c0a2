//go:build cgo && unix

package pkcs11

import (
	"errors"
	"fmt"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// A tokenName selects a token. Empty fields match any token.
type tokenName struct{ serial, label string }

// A tokenSlot is the slot in which a token currently is.
type tokenSlot struct {
	slot uint
	info p11.TokenInfo
	// hardware: the slot reports a hardware device.
	hardware bool
}

func (n tokenName) String() string {
	switch {
	case n.serial == "":
		return fmt.Sprintf("label %q", n.label)
	case n.label == "":
		return fmt.Sprintf("serial number %q", n.serial)
	}
	return fmt.Sprintf("serial number %q and label %q", n.serial, n.label)
}

func (n tokenName) matches(info p11.TokenInfo) bool {
	return (n.serial == "" || n.serial == trim(info.SerialNumber)) && (n.label == "" || n.label == trim(info.Label))
}

// trim removes the padding: spaces as in the standard, and NULs as in some modules.
func trim(s string) string { return strings.TrimRight(s, " \x00") }

// errNotThere marks the error for a token that is in no slot.
var errNotThere = errors.New("no token")

// find searches the slots for the one token with a name. The caller is inside the drain.
func (m *module) find(name tokenName) (tokenSlot, error) {
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return tokenSlot{}, from("C_GetSlotList", err)
	}
	var found []tokenSlot
	var blank bool
	for _, slot := range slots {
		info, err := m.ctx.GetTokenInfo(slot)
		if err != nil {
			continue // skip a slot whose token does not respond
		}
		blank = blank || info.Flags&p11.CKF_TOKEN_INITIALIZED == 0
		if info.Flags&p11.CKF_TOKEN_INITIALIZED != 0 && name.matches(info) {
			about, err := m.ctx.GetSlotInfo(slot)
			found = append(found, tokenSlot{slot, info, err == nil && about.Flags&p11.CKF_HW_SLOT != 0})
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		hint := ""
		if blank {
			hint = "; there is a token that is not initialised: do that with its own tool"
		}
		return tokenSlot{}, fault("C_GetSlotList", driver.Unavailable, fmt.Errorf("%w has the %v in %d slots%s", errNotThere, name, len(slots), hint))
	}
	return tokenSlot{}, fault("C_GetSlotList", driver.Invalid, fmt.Errorf("%d tokens have the %v: name the serial number and the label", len(found), name))
}
