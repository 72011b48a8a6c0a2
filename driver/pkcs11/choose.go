//go:build cgo && unix

package pkcs11

import (
	"strings"

	"strongroom.example/driver"
)

// shapeOf is the shape that a spec has in such a token.
func (p profile) shapeOf(spec driver.KeySpec) (shape, bool) {
	sh, ok := shapeOf(spec)
	if ok && spec.Algorithm == driver.HMACSHA256 && p.hmacKind != 0 {
		sh.kind = p.hmacKind
	}
	return sh, ok
}

// levelAt is the level of such a token in a slot. One of no known kind is a device only if
// its slot says so.
func (p profile) levelAt(at tokenSlot, able *abilities) driver.ProtectionLevel {
	if able.leaks || p.name == genericName && !at.hardware {
		return driver.LevelSoftware
	}
	return p.level
}

// profileOf finds a profile by name or, if that is empty, by manufacturer.
func profileOf(name, manufacturer string) profile {
	if name == "" {
		for _, p := range profiles() {
			if p.manufacturer != "" && strings.HasPrefix(manufacturer, p.manufacturer) {
				return p
			}
		}
	}
	p, _ := profileNamed(name) // Config.check has seen that it is there
	return p
}
