//go:build cgo && unix

package session

import (
	"cmp"
	"errors"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
)

// A tokenName selects a token. Empty fields match any token.
type tokenName struct{ serial, label string }

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
	return (n.serial == "" || n.serial == cryptoki.TrimPadding(info.SerialNumber)) && (n.label == "" || n.label == cryptoki.TrimPadding(info.Label))
}

// errNotThere marks the error for a token that is in no slot.
var errNotThere = errors.New("no token")

// find searches the slots for the one token with a name. The caller has entered the
// module's calls.
func (m *module) find(name tokenName) (object.TokenSlot, error) {
	slots, err := m.Ctx.GetSlotList(true)
	if err != nil {
		return object.TokenSlot{}, cryptoki.Convert("C_GetSlotList", err)
	}
	var found []object.TokenSlot
	var hint string
	for _, slot := range slots {
		info, err := m.Ctx.GetTokenInfo(slot)
		if err != nil {
			continue // skip a slot whose token does not respond
		}
		switch {
		case info.Flags&p11.CKF_TOKEN_INITIALIZED == 0:
			hint = cmp.Or(hint, "; there is a token that is not initialised: do that with its own tool")
		case name.matches(info):
			about, err := m.Ctx.GetSlotInfo(slot)
			found = append(found, object.TokenSlot{Slot: slot, Info: info, Hardware: err == nil && about.Flags&p11.CKF_HW_SLOT != 0})
		case name.label != "" && name.label == cryptoki.TrimPadding(info.Label):
			hint = fmt.Sprintf("; a token with this label has the serial number %q: a clone is accepted when the program starts again, "+
				"with that serial number in its configuration or none", cryptoki.TrimPadding(info.SerialNumber))
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return object.TokenSlot{}, cryptoki.Fault("C_GetSlotList", driver.Unavailable, fmt.Errorf("%w has the %v in %d slots%s", errNotThere, name, len(slots), hint))
	}
	return object.TokenSlot{}, cryptoki.Fault("C_GetSlotList", driver.Invalid, fmt.Errorf("%d tokens have the %v: name the serial number and the label", len(found), name))
}
