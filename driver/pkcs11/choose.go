//go:build cgo && unix

package pkcs11

import "strings"

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
