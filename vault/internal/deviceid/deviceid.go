// Package deviceid identifies the device in which an object was made.
package deviceid

import (
	"context"
	"fmt"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/vault/internal/fault"
)

// An Identity identifies a device. It does not contain the firmware, because an update changes
// that.
type Identity struct {
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"`
	Serial       string `json:"serial,omitempty"`
}

// Of returns the identity of the device of a driver. It returns nil for a device that has no
// serial number, and for one that does not list its objects: the software engine and a TPM
// keep none.
func Of(info driver.Info) *Identity {
	if !info.Lister || info.Device.Serial == "" {
		return nil
	}
	// Every text is stored as valid UTF-8, so that it equals itself after it was read.
	valid := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
	return &Identity{valid(info.Device.Manufacturer), valid(info.Device.Model), valid(info.Device.Serial)}
}

// Check returns ErrWrongDevice if now, the device of the named driver, is another device than
// made, in which material of a CMK was made. made is nil if it is not known, as in records of
// earlier versions of package vault and for a device without an identity; now is nil if the
// driver's device has no identity.
func (made *Identity) Check(now *Identity, key, driverName string) error {
	if made == nil {
		return nil
	}
	if now == nil {
		now = &Identity{}
	}
	if *now == *made {
		return nil
	}
	return fmt.Errorf("%w: material of key %s was made in device %q and driver %q has device %q; open the vault with the former",
		fault.ErrWrongDevice, key, made.Serial, driverName, now.Serial)
}

// Holds reports whether the device of a driver that lists its objects has an object.
func Holds(ctx context.Context, device driver.Lister, object driver.MaterialID) (bool, error) {
	for id, err := range device.ListKeys(ctx) {
		if err != nil {
			return false, err
		}
		if id == object {
			return true, nil
		}
	}
	return false, nil
}
