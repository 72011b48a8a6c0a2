package tpm_test

import (
	"context"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// owned returns a TPM whose owner set an authorization.
func owned(t *testing.T) *testtoken.SWTPM {
	t.Helper()
	s := newTPM(t)
	setAuths(t, s, []byte("owner"), nil)
	return s
}

// hintedArea returns the storage key that an error advises to create, with the attributes
// that the advice passes to tpm2_createprimary.
func hintedArea(t *testing.T, advice string) tpm2.TPMTPublic {
	t.Helper()
	list := regexp.MustCompile(`tpm2_createprimary -C o -G ecc -a '([a-z|]+)'`).FindStringSubmatch(advice)
	if list == nil {
		t.Fatalf("the error %q names no attributes", advice)
	}
	area := tpm2.ECCSRKTemplate
	area.ObjectAttributes = tpm2.TPMAObject{}
	a := &area.ObjectAttributes
	for _, name := range strings.Split(list[1], "|") {
		bit, ok := map[string]*bool{
			"fixedtpm": &a.FixedTPM, "fixedparent": &a.FixedParent, "sensitivedataorigin": &a.SensitiveDataOrigin,
			"userwithauth": &a.UserWithAuth, "noda": &a.NoDA, "restricted": &a.Restricted, "decrypt": &a.Decrypt,
		}[name]
		if !ok {
			t.Fatalf("the advice names an unknown attribute %q", name)
		}
		*bit = true
	}
	return area
}

// put creates a key in the owner hierarchy and persists it at 0x81000001.
func put(t *testing.T, s *testtoken.SWTPM, owner []byte, area tpm2.TPMTPublic) (name string) {
	t.Helper()
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	made, err := persistAs(c, owner, area)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(made.Buffer)
}

// TestOwnerHint follows the advice of the error for a TPM whose owner must create the
// storage root key.
func TestOwnerHint(t *testing.T) {
	s := owned(t)
	cfg := tpm.Config{Device: "unix:" + s.Socket()}
	_, err := tpm.Open(t.Context(), cfg)
	oneLine(t, err, driver.Denied, "Config.OwnerAuth", "tpm2_evictcontrol")
	put(t, s, []byte("owner"), hintedArea(t, err.Error()))
	openConfig(t, cfg)
}

// TestUnfitSRK puts an unsuitable key at the handle of the storage root key. The
// error must say why the driver does not use it.
func TestUnfitSRK(t *testing.T) {
	s := owned(t)
	area := tpm2.ECCSRKTemplate
	area.ObjectAttributes.NoDA = false // the default of tpm2_createprimary
	put(t, s, []byte("owner"), area)
	_, err := tpm.Open(t.Context(), tpm.Config{Device: "unix:" + s.Socket()})
	oneLine(t, err, driver.Denied, "0x81000001", "noda", "Config.OwnerAuth")
}

// TestUnknownCipherSRK puts a storage key to which the driver cannot encrypt at
// 0x81000001. The driver must create its own at another handle.
func TestUnknownCipherSRK(t *testing.T) {
	for name, curve := range map[string]tpm2.TPMECCCurve{"SM2": tpm2.TPMECCSM2P256, "P-224": tpm2.TPMECCNistP224} {
		t.Run(name, func(t *testing.T) {
			area := tpm2.ECCSRKTemplate
			area.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
				CurveID: curve,
				Symmetric: tpm2.TPMTSymDefObject{
					Algorithm: tpm2.TPMAlgAES,
					KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)),
					Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
				},
			})
			area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
			s := newTPM(t)
			foreign := put(t, s, nil, area)
			d := openAt(t, s, "")
			if d.Info().Device.Serial == foreign {
				t.Error("the driver adopted another program's storage key")
			}
			prf(t, openAs[driver.PRF](t, d, generate(t, d, hmacSpec)))
		})
	}
}

// TestSRKAuth gives the storage root key an authorization. Every operation
// under it must report that.
func TestSRKAuth(t *testing.T) {
	s := newTPM(t)
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: owner,
		InPublic:      tpm2.New2B(tpm2.ECCSRKTemplate),
		InSensitive:   tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte("srk")}}},
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm2.EvictControl{
		Auth:             owner,
		ObjectHandle:     &tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name},
		PersistentHandle: 0x81000001,
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	says := []string{"0x81000001", "has an authorization", "tpm2_evictcontrol"}
	_, err = tpm.Open(t.Context(), tpm.Config{Device: "unix:" + s.Socket()})
	oneLine(t, err, driver.Denied, says...)
	d := openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), RootOnly: true})
	_, err = protector(t, d, tpm.Policy{}).Protect(context.Background(), binding, make([]byte, 32))
	oneLine(t, err, driver.Denied, says...)
}
