//go:build cgo && unix

package object

import "testing"

func TestProfileOf(t *testing.T) {
	for manufacturer, want := range map[string]string{"SoftHSM project": "softhsm", "Mozilla Foundation": "nss", "Acme": "generic", "": "generic"} {
		if got := SelectProfile("", manufacturer).Name; got != want {
			t.Errorf("%q has profile %s, want %s", manufacturer, got, want)
		}
	}
	if got := SelectProfile("luna", "SoftHSM project").Name; got != "luna" {
		t.Errorf("profileOf(\"luna\", \"SoftHSM project\") is %s, want luna", got)
	}
}

func TestProfiles(t *testing.T) {
	seen := make(map[string]bool)
	for i, p := range profiles() {
		if seen[p.Name] || p.level == "" {
			t.Errorf("profile %q occurs twice or is incomplete: %+v", p.Name, p)
		}
		if i > 0 && p.source == "" {
			t.Errorf("profile %q has no source", p.Name)
		}
		seen[p.Name] = true
	}
}
