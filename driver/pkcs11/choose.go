//go:build cgo && unix

package pkcs11

import (
	"slices"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// shapeOf returns the shape of a spec in a token of this profile.
func (p profile) shapeOf(spec driver.KeySpec) (shape, bool) {
	sh, ok := shapeOf(spec)
	if ok && spec.Algorithm == driver.HMACSHA256 && p.hmacKind != 0 {
		sh.kind = p.hmacKind
	}
	return sh, ok
}

// levelAt returns the protection level of a token of this profile in a slot. A token of
// unknown kind is a device only if its slot says so. A token that identifies itself as
// software is software, whatever the profile.
func (p profile) levelAt(at tokenSlot, able *abilities) driver.ProtectionLevel {
	if able.leaks || p.name == genericName && !at.hardware || isSoftware(at.info) {
		return driver.LevelSoftware
	}
	return p.level
}

// isSoftware reports whether a token identifies itself as software: by the manufacturer
// of a known software token, or by the model of a software TPM behind libtpm2-pkcs11 ("SW
// TPM"), of a simulator or of an emulator.
func isSoftware(info p11.TokenInfo) bool {
	for _, p := range profiles() {
		if p.level == driver.LevelSoftware && strings.HasPrefix(trim(info.ManufacturerID), p.manufacturer) {
			return true
		}
	}
	words := strings.Fields(strings.ToLower(trim(info.Model)))
	return slices.ContainsFunc(words, func(word string) bool {
		return word == "sw" || word == "swtpm" || word == "soft" || strings.HasPrefix(word, "simul") || strings.HasPrefix(word, "emul")
	})
}

// isTPM reports whether a token identifies itself as a TPM.
func isTPM(info p11.TokenInfo) bool {
	return strings.Contains(strings.ToUpper(info.Model+" "+info.ManufacturerID), "TPM")
}

// profileOf returns a profile by name or, if that is empty, by manufacturer.
func profileOf(name, manufacturer string) profile {
	if name == "" {
		for _, p := range profiles() {
			if p.manufacturer != "" && strings.HasPrefix(manufacturer, p.manufacturer) {
				return p
			}
		}
	}
	p, _ := profileNamed(name) // Config.check has verified that the profile exists
	return p
}
