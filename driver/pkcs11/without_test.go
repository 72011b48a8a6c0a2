//go:build cgo && unix

package pkcs11_test

import (
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// TestSelfTestOfGateways: a token, or a gateway to it, that fails at something the
// self-test tries still opens and offers its other abilities, if necessary with
// Config.Without.
func TestSelfTestOfGateways(t *testing.T) {
	unwrap := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Unwrap}
	ed25519 := driver.KeySpec{Algorithm: driver.Ed25519, Usage: driver.Sign}
	for name, c := range map[string]struct {
		quirk   testtoken.Quirk
		without []pkcs11.Ability
		lacks   []driver.KeySpec
	}{
		"nested template fails":                {testtoken.NestedTemplateFails, nil, nil},
		"nested template kills":                {testtoken.NestedTemplateKills, nil, nil},
		"nested template kills, left out":      {testtoken.NestedTemplateKills, []pkcs11.Ability{pkcs11.AbilityUnwrapTemplate}, nil},
		"nested template kills, no unwrapping": {testtoken.NestedTemplateKills, []pkcs11.Ability{pkcs11.AbilityWrappedImport}, []driver.KeySpec{unwrap}},
		"EdDSA kills, left out":                {testtoken.EdDSAKills, []pkcs11.Ability{pkcs11.Ability(driver.Ed25519)}, []driver.KeySpec{ed25519}},
	} {
		t.Run(name, func(t *testing.T) {
			faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
			faulty.Be(c.quirk)
			cfg := config(faulty.PKCS11)
			cfg.Without = c.without
			for range 2 { // the second Open uses the results of the first
				d, err := pkcs11.Open(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				for _, spec := range []driver.KeySpec{derive, ed25519, unwrap, {Algorithm: driver.RSA4096, Usage: driver.Sign}, {Algorithm: driver.ECP256, Usage: driver.Sign}} {
					lacks := false
					for _, l := range c.lacks {
						lacks = lacks || l == spec
					}
					if _, ok := d.Info().Find(spec); ok == lacks {
						t.Errorf("%v is offered: %v, want %v", spec, ok, !lacks)
					}
				}
				newTestKey(t, d).mustWork(t, "after the self-test")
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestSelfTestNamesFatalAbility: if Open fails because of one ability, the error names the
// ability and the setting that leaves it out.
func TestSelfTestNamesFatalAbility(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.EdDSAKills)
	d, err := pkcs11.Open(t.Context(), config(faulty.PKCS11))
	if err == nil {
		d.Close()
		t.Fatal("Open of a token on which EdDSA fails permanently succeeded")
	}
	for _, want := range []string{"ED25519/SIGN", "Config.Without"} {
		if !is(err, driver.Unavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open: %v, want Unavailable that names %s", err, want)
		}
	}
}

// TestWithout: an ability that Config.Without names is not offered, but another driver of
// the token offers it.
func TestWithout(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	c := config(token)
	c.Without = []pkcs11.Ability{pkcs11.AbilityRandom, pkcs11.Ability(driver.RSA4096), pkcs11.Ability(driver.HMACSHA256)}
	d, all := openedWith(t, c), opened(t, token)
	if d.Info().Random || !all.Info().Random {
		t.Errorf("random numbers are offered: %v without the ability, %v with it, want false and true", d.Info().Random, all.Info().Random)
	}
	for _, spec := range []driver.KeySpec{derive, {Algorithm: driver.RSA4096, Usage: driver.Sign}, {Algorithm: driver.RSA4096, Usage: driver.Unwrap}} {
		if _, ok := d.Info().Find(spec); ok {
			t.Errorf("%v is offered although Config.Without names it", spec)
		}
		if _, ok := all.Info().Find(spec); !ok {
			t.Errorf("%v is not offered without Config.Without", spec)
		}
		if _, err := d.OpenKey(t.Context(), freshID(), spec, nil); !is(err, driver.Unsupported) {
			t.Errorf("OpenKey of %v: %v, want Unsupported", spec, err)
		}
	}
}
