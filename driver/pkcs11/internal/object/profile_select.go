//go:build cgo && unix

package object

import (
	"slices"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// ShapeOf returns the shape of a spec in a token of this profile.
func (p Profile) ShapeOf(spec driver.KeySpec) (Shape, bool) {
	sh, ok := ShapeOf(spec)
	if mac, symmetric := hmacs[spec.Algorithm]; ok && symmetric && p.hmacKinds {
		sh.Kind = mac.kind
	}
	return sh, ok
}

// ProtectionLevel returns the protection level of a token of this profile in a slot. A
// token of unknown kind is a device only if its slot says so. A token that identifies
// itself as software is software, whatever the profile.
func (p Profile) ProtectionLevel(at TokenSlot, leaks bool) driver.ProtectionLevel {
	if leaks || p.Name == genericName && !at.Hardware || isSoftware(at.Info) {
		return driver.LevelSoftware
	}
	return p.level
}

// isSoftware reports whether a token identifies itself as software: by the manufacturer
// of a known software token, or by the model of a software TPM behind libtpm2-pkcs11 ("SW
// TPM"), of a simulator or of an emulator.
func isSoftware(info p11.TokenInfo) bool {
	for _, p := range profiles() {
		if p.level == driver.LevelSoftware && strings.HasPrefix(cryptoki.TrimPadding(info.ManufacturerID), p.manufacturer) {
			return true
		}
	}
	words := strings.Fields(strings.ToLower(cryptoki.TrimPadding(info.Model)))
	return slices.ContainsFunc(words, func(word string) bool {
		return word == "sw" || word == "swtpm" || word == "soft" || strings.HasPrefix(word, "simul") || strings.HasPrefix(word, "emul")
	})
}

// IsTPM reports whether a token identifies itself as a TPM.
func IsTPM(info p11.TokenInfo) bool {
	return strings.Contains(strings.ToUpper(info.Model+" "+info.ManufacturerID), "TPM")
}

// SelectProfile returns a profile by name or, if that is empty, by manufacturer.
func SelectProfile(name, manufacturer string) Profile {
	if name == "" {
		for _, p := range profiles() {
			if p.manufacturer != "" && strings.HasPrefix(manufacturer, p.manufacturer) {
				return p
			}
		}
	}
	p, _ := ProfileByName(name) // Config.check has verified that the profile exists
	return p
}
