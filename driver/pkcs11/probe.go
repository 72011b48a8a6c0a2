package pkcs11

import (
	"fmt"
	"strings"

	"strongroom.example/driver"
)

// A Report is what a token can do, as found by trying it.
type Report struct {
	// Device identifies the token. Profile names the entry of the table of profiles
	// that was used for it.
	Device  driver.Device
	Profile string
	// Level is what the token's keys are reported as. A token that gives away a key
	// which is not extractable is SOFTWARE, whatever its maker says; so is one of no known
	// kind whose slot does not say that it is a device.
	Level driver.ProtectionLevel
	// Specs is what a driver on this token offers.
	Specs []driver.SpecInfo
	// Findings are all that was tried, in order.
	Findings []Finding
}

// A Finding is one ability of a token, and whether it works.
type Finding struct {
	Ability string
	Works   bool
	// Note says why it does not work, in the token's words where it has some.
	Note string
}

// String returns the report as lines of text for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, serial %s, firmware %s (profile %s): protection level %s\n",
		r.Device.Manufacturer, r.Device.Model, r.Device.Serial, r.Device.Firmware, r.Profile, r.Level)
	for _, f := range r.Findings {
		works := "no "
		if f.Works {
			works = "yes"
		}
		fmt.Fprintf(&b, "%s  %-44s %s\n", works, f.Ability, f.Note)
	}
	return b.String()
}
