package pkcs11

import (
	"reflect"
	"strings"
	"testing"

	"strongroom.example/driver/pkcs11/internal/pin"
)

func TestParseURI(t *testing.T) {
	for uri, want := range map[string]Config{
		"pkcs11:token=my%20vault;serial=0a1b?module-path=/usr/lib/hsm.so&pin-source=file:/etc/pin": {
			Module: "/usr/lib/hsm.so", Label: "my vault", Serial: "0a1b", PIN: PIN{File: "/etc/pin"}},
		"pkcs11:serial=1?module-path=/m.so&pin-source=file:///etc/pin":                        {Module: "/m.so", Serial: "1", PIN: PIN{File: "/etc/pin"}},
		"pkcs11:serial=1?module-path=/m.so&pin-source=file://localhost/etc/pin":               {Module: "/m.so", Serial: "1", PIN: PIN{File: "/etc/pin"}},
		"pkcs11:serial=1?module-path=/m.so&pin-source=/etc/pin":                               {Module: "/m.so", Serial: "1", PIN: PIN{File: "/etc/pin"}},
		"pkcs11:serial=1?module-path=/m.so&pin-source=env:PIN&x-profile=nss&x-max-sessions=3": {Module: "/m.so", Serial: "1", PIN: PIN{Env: "PIN"}, Profile: "nss", MaxSessions: 3},
		"pkcs11:serial=1?module-path=/m.so&x-without=EC_P521,random":                          {Module: "/m.so", Serial: "1", Without: []Ability{"EC_P521", AbilityRandom}},
		"pkcs11:serial=1?module-path=/m.so&pin-source=fd:3&x-args=configdir%3D%27sql:/db%27":  {Module: "/m.so", Serial: "1", PIN: PIN{FD: 3}, Args: "configdir='sql:/db'"},
		"pkcs11:serial=1?module-path=/m.so&pin-source=systemd:hsm-pin":                        {Module: "/m.so", Serial: "1", PIN: PIN{Credential: "hsm-pin"}},
	} {
		got, err := ParseURI(uri)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseURI(%s) = %+v, %v", uri, got, err)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	const good = "pkcs11:token=a?module-path=/m.so"
	for uri, says := range map[string]string{
		"":                              "no scheme",
		"tpm:token=a?module-path=/m.so": "scheme",
		"pkcs11:token=a":                "absolute path",
		"pkcs11:?module-path=/m.so":     "serial number or its label",
		"pkcs11:slot-id=0;token=a?module-path=/m.so": "slot-id",
		good + "&pin-value=hunter2":                  "pin-source",
		good + "&pin-source=|cat%20/pin":             "not run",
		good + "&pin-source=%7Ccat":                  "not run",
		good + "&pin-source=fd:hunter2":              "none of",
		good + "&pin-source=fd:0":                    "none of",
		good + "&pin-source=fd:1":                    "none of",
		good + "&pin-source=hunter2":                 "none of",
		good + "&pin-source=file:hunter2":            "no absolute path",
		good + "&pin-source=file://hunter2/etc/pin":  "no absolute path",
		good + "&pin-source=file:./hunter2":          "no absolute path",
		good + "&module-name=softhsm":                "module-name",
		good + "&x-max-sessions=hunter2":             "no number",
		good + "&x-without=hunter2":                  "no ability",
		good + "&x-profile=abacus":                   "generic, softhsm",
	} {
		_, err := ParseURI(uri)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("ParseURI(%s): %v, want an error without values", uri, err)
			continue
		}
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want something about %q", uri, err, says)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("pkcs11:token=a;serial=b?module-path=/m.so&pin-source=file:/etc/pin")
	f.Add("pkcs11:token=a?module-path=/m.so&pin-source=fd:7&x-profile=nss")
	f.Fuzz(func(t *testing.T, uri string) {
		c, err := ParseURI(uri)
		if err == nil && (c.check() != nil || pin.Source(c.PIN).Sources() > 1) {
			t.Errorf("ParseURI(%q) = %+v, which is not valid", uri, c)
		}
	})
}
