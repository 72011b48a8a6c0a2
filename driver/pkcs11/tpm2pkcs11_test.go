//go:build cgo && unix

package pkcs11_test

import (
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// TestTokenWithoutAnyKey uses libtpm2-pkcs11 with a software TPM. It makes no session
// objects, and refuses the templates of persistent ones. Open fails, and its error names
// the driver to use for a TPM.
func TestTokenWithoutAnyKey(t *testing.T) {
	d, err := pkcs11.Open(t.Context(), config(initToken(t, testtoken.NewTPM2PKCS11(t))))
	if err == nil {
		info := d.Info()
		d.Close()
		if len(info.Specs) == 0 || info.Level != driver.LevelSoftware {
			t.Errorf("Open of a software TPM: no error, level %s, specs %v; want an error, or specs at level SOFTWARE", info.Level, info.Specs)
		}
		return
	}
	if !is(err, driver.Unsupported) || !strings.Contains(err.Error(), "driver tpm") {
		t.Errorf("Open of a token without any key: %v, want Unsupported, naming the driver tpm", err)
	}
}

// TestProbeOfTokenWithoutAnyKey: the report lists the trials.
func TestProbeOfTokenWithoutAnyKey(t *testing.T) {
	r, err := pkcs11.Probe(t.Context(), config(initToken(t, testtoken.NewTPM2PKCS11(t))))
	if len(r.Findings) == 0 || r.Level != driver.LevelSoftware {
		t.Errorf("Probe of a software TPM: %d findings, level %s, %v; want findings and level SOFTWARE", len(r.Findings), r.Level, err)
	}
}

// TestNoSessionObjectsUnasked: the token makes only persistent objects, which no profile
// says. Open detects it, offers the token's abilities, and leaves no trial key.
func TestNoSessionObjectsUnasked(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.NoSessionObjects)
	d := opened(t, faulty.PKCS11)
	for _, spec := range []driver.KeySpec{derive, {Algorithm: driver.ECP256, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Decrypt}} {
		row, ok := d.Info().Find(spec)
		if !ok || !row.Import {
			t.Errorf("%v is not offered by a token without session objects", spec)
			continue
		}
		everyWay(t, d, row)
	}
	a := newAttackSession(t, faulty.PKCS11)
	for o := range a.all(t, a.session) {
		got, err := a.GetAttributeValue(a.session, o, []*p11.Attribute{attribute(p11.CKA_LABEL, nil)})
		if err == nil && strings.HasPrefix(string(got[0].Value), "sr-trial") {
			t.Errorf("a key of the self-test is left in the token")
		}
	}
}

// TestSoftwareUnderAnotherProfile: the configured profile does not make a software token
// a device.
func TestSoftwareUnderAnotherProfile(t *testing.T) {
	c := config(testtoken.NewSoftHSM(t))
	c.Profile = "luna"
	d := openedWith(t, c)
	if level := d.Info().Level; level != driver.LevelSoftware {
		t.Errorf("SoftHSM under the profile luna has level %s, want SOFTWARE", level)
	}
}

// initToken initialises the first blank token of a module.
func initToken(t *testing.T, token testtoken.PKCS11) testtoken.PKCS11 {
	t.Helper()
	fatal := func(call string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s of %s: %v", call, token.Module, err)
		}
	}
	ctx := p11.New(token.Module)
	if ctx == nil {
		t.Fatalf("%s does not load", token.Module)
	}
	fatal("C_Initialize", ctx.Initialize())
	defer ctx.Finalize()
	slots, err := ctx.GetSlotList(true)
	fatal("C_GetSlotList", err)
	slot := slots[len(slots)-1]
	fatal("C_InitToken", ctx.InitToken(slot, testtoken.SOPIN, token.Label))
	s, err := ctx.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	fatal("C_OpenSession", err)
	fatal("C_Login", ctx.Login(s, p11.CKU_SO, testtoken.SOPIN))
	fatal("C_InitPIN", ctx.InitPIN(s, testtoken.PIN))
	fatal("C_Logout", ctx.Logout(s))
	fatal("C_CloseSession", ctx.CloseSession(s))
	return token
}
