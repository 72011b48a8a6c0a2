//go:build cgo && unix

package pkcs11

import "testing"

func TestProfileOf(t *testing.T) {
	for manufacturer, want := range map[string]string{"SoftHSM project": "softhsm", "Mozilla Foundation": "nss", "Acme": "generic", "": "generic"} {
		if got := profileOf("", manufacturer).name; got != want {
			t.Errorf("%q has profile %s, want %s", manufacturer, got, want)
		}
	}
	if got := profileOf("luna", "SoftHSM project").name; got != "luna" {
		t.Errorf("profileOf(\"luna\", \"SoftHSM project\") is %s, want luna", got)
	}
}
