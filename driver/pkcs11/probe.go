package pkcs11

import (
	"fmt"
	"strings"

	"strongroom.example/driver"
)

// A Report has the results of the self-test of a token.
type Report struct {
	// Device identifies the token. Profile is the name of the profile that was used.
	Device  driver.Device
	Profile string
	// Level is the protection level of the token's keys. A token that gives out a key
	// that is not extractable is SOFTWARE, whatever its manufacturer claims, and so is a
	// token of unknown kind whose slot does not report a hardware device.
	Level driver.ProtectionLevel
	// Specs lists the keys that a driver on this token offers.
	Specs []driver.SpecInfo
	// Findings lists all trials, in order.
	Findings []Finding
	// Module is the module's description of itself.
	Module ModuleInfo
	// PINCountLow reports that the token had counted a wrong PIN when it was opened. The
	// login with the right PIN ends the count.
	PINCountLow bool
}

// A ModuleInfo has the result of C_GetInfo. It is the zero value if that call fails.
type ModuleInfo struct {
	Manufacturer, Description string
	// Version is the version of the library, and Cryptoki the version of the standard,
	// such as "2.40".
	Version, Cryptoki string
}

// A Finding is the result of the trial of one ability.
type Finding struct {
	Ability string
	Works   bool
	// Note is the reason why it does not work, with the token's error if there is one.
	Note string
}

// String returns the report as text.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "module of %s (%s), version %s, Cryptoki %s\n",
		r.Module.Manufacturer, r.Module.Description, r.Module.Version, r.Module.Cryptoki)
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
