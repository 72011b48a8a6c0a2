//go:build cgo && unix

package pkcs11_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// The attacks are those of Bortolozzo, Centenaro, Focardi and Steel, "Attacking and
// fixing PKCS#11 security tokens" (CCS 2010): an attacker with a logged-in session tries
// to extract a key by calls that the token allows.

// An attackSession has a logged-in session, as has all code in this process while the
// driver is open.
type attackSession struct {
	rawSession
	session p11.SessionHandle
	t       *testing.T
	won     []success
}

// A success is an attack that worked.
type success struct {
	kind attackKind
	text string
}

// An attackKind is the kind of an attack that worked.
type attackKind string

const (
	reading     attackKind = "read"
	changing    attackKind = "change"
	copying     attackKind = "copy"
	exposing    attackKind = "copy, and expose the copy" // read it, take its protection away, or wrap it
	wrapping    attackKind = "wrap"
	wrappingBy  attackKind = "wrap by our key"
	deriving    attackKind = "derive"
	reimporting attackKind = "unwrap again"
)

func newAttackSession(t *testing.T, token testtoken.PKCS11) *attackSession {
	i := newRawSession(t, token)
	s, err := i.OpenSession(i.slot(t), p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.CloseSession(s) })
	return &attackSession{rawSession: i, session: s, t: t}
}

func mech(kind uint, parameter any) []*p11.Mechanism {
	return []*p11.Mechanism{p11.NewMechanism(kind, parameter)}
}

func attribute(kind uint, value any) *p11.Attribute { return p11.NewAttribute(kind, value) }

// succeeds records an attack that worked, and reports whether it did.
func (a *attackSession) succeeds(err error, kind attackKind, format string, args ...any) bool {
	if err == nil {
		a.won = append(a.won, success{kind, fmt.Sprintf(format, args...)})
	}
	return err == nil
}

// objects returns the secret or private keys under an id.
func (a *attackSession) objects(id driver.MaterialID) []p11.ObjectHandle {
	a.t.Helper()
	var all []p11.ObjectHandle
	for _, class := range []uint{p11.CKO_SECRET_KEY, p11.CKO_PRIVATE_KEY} {
		if err := a.FindObjectsInit(a.session, []*p11.Attribute{attribute(p11.CKA_CLASS, class), attribute(p11.CKA_ID, id[:])}); err != nil {
			a.t.Fatal(err)
		}
		found, _, err := a.FindObjects(a.session, 10)
		if err != nil {
			a.t.Fatal(err)
		}
		a.FindObjectsFinal(a.session)
		all = append(all, found...)
	}
	if len(all) != 1 {
		a.t.Fatalf("%d objects under one id, want 1", len(all))
	}
	return all
}

// attack tries every attack on one object.
func (a *attackSession) attack(name string, o p11.ObjectHandle) {
	a.read(name, o)
	a.change(name, o)
	a.copy(name, o)
	a.wrapIt(name, o)
	a.wrapWithIt(name, o)
	a.deriveFromIt(name, o)
}

func (a *attackSession) read(name string, o p11.ObjectHandle) {
	for _, kind := range []uint{p11.CKA_VALUE, p11.CKA_PRIVATE_EXPONENT, p11.CKA_PRIME_1, p11.CKA_PRIME_2, p11.CKA_EXPONENT_1, p11.CKA_COEFFICIENT} {
		list, err := a.GetAttributeValue(a.session, o, []*p11.Attribute{attribute(kind, nil)})
		if err == nil && len(list) == 1 && len(list[0].Value) > 0 {
			a.succeeds(nil, reading, "%s: attribute %#x can be read", name, kind)
		}
	}
}

// is reports whether a boolean attribute is true.
func (a *attackSession) is(o p11.ObjectHandle, kind uint) bool {
	list, err := a.GetAttributeValue(a.session, o, []*p11.Attribute{attribute(kind, nil)})
	return err == nil && len(list) == 1 && len(list[0].Value) == 1 && list[0].Value[0] != 0
}

// change tries to give the key conflicting roles, and to remove its protection. An attack
// succeeds if the attribute has changed.
func (a *attackSession) change(name string, o p11.ObjectHandle) {
	for kind, value := range map[uint]bool{
		p11.CKA_EXTRACTABLE: true, p11.CKA_SENSITIVE: false, p11.CKA_WRAP: true, p11.CKA_UNWRAP: true, p11.CKA_ENCRYPT: true,
		p11.CKA_DECRYPT: true, p11.CKA_SIGN: true, p11.CKA_DERIVE: true, p11.CKA_MODIFIABLE: true, p11.CKA_PRIVATE: false,
	} {
		a.set(name, o, kind, value)
	}
}

// set tries to set a boolean attribute that does not have the value yet.
func (a *attackSession) set(name string, o p11.ObjectHandle, kind uint, value bool) {
	if a.is(o, kind) == value {
		return
	}
	a.SetAttributeValue(a.session, o, []*p11.Attribute{attribute(kind, value)})
	if a.is(o, kind) == value {
		a.succeeds(nil, changing, "%s: attribute %#x can be set to %v", name, kind, value)
	}
}

func (a *attackSession) copy(name string, o p11.ObjectHandle) {
	for _, t := range [][]*p11.Attribute{
		{attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_EXTRACTABLE, true)},
		{attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_SENSITIVE, false)},
		{attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_WRAP, true), attribute(p11.CKA_DECRYPT, true)},
		{attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_MODIFIABLE, true)},
	} {
		if twin, err := a.CopyObject(a.session, o, t); a.succeeds(err, copying, "%s: can be copied with attribute %#x changed", name, t[1].Type) {
			a.expose(name, twin)
			a.DestroyObject(a.session, twin)
		}
	}
}

// expose attacks a copy. A success counts as exposing, and not as the same attack on the
// key itself, because a token that copies a key and protects the copy has not exposed it.
func (a *attackSession) expose(name string, twin p11.ObjectHandle) {
	before := len(a.won)
	name += " copied"
	a.read(name, twin)
	a.set(name, twin, p11.CKA_EXTRACTABLE, true)
	a.set(name, twin, p11.CKA_SENSITIVE, false)
	a.read(name, twin)
	a.wrapIt(name, twin)
	for i := range a.won[before:] {
		a.won[before+i].kind = exposing
	}
}

// ownKey makes a key of the attacker with the given roles.
func (a *attackSession) ownKey(extractable bool, roles ...uint) p11.ObjectHandle {
	a.t.Helper()
	t := []*p11.Attribute{attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_VALUE_LEN, 32), attribute(p11.CKA_EXTRACTABLE, extractable), attribute(p11.CKA_SENSITIVE, false)}
	for _, role := range roles {
		t = append(t, attribute(role, true))
	}
	o, err := a.GenerateKey(a.session, mech(p11.CKM_AES_KEY_GEN, nil), t)
	if err != nil {
		a.t.Fatal(err)
	}
	return o
}

var wrapMechanisms = map[uint][]byte{
	p11.CKM_AES_KEY_WRAP: nil, p11.CKM_AES_KEY_WRAP_PAD: nil, 0x210B: nil,
	p11.CKM_AES_ECB: nil, p11.CKM_AES_CBC: make([]byte, 16), p11.CKM_AES_CBC_PAD: make([]byte, 16),
	p11.CKM_RSA_PKCS: nil, p11.CKM_RSA_X_509: nil,
}

// wrapIt tries to wrap the driver's key under a key of the attacker.
func (a *attackSession) wrapIt(name string, o p11.ObjectHandle) {
	with := a.ownKey(false, p11.CKA_WRAP, p11.CKA_DECRYPT)
	defer a.DestroyObject(a.session, with)
	for kind, iv := range wrapMechanisms {
		_, err := a.WrapKey(a.session, mech(kind, iv), with, o)
		a.succeeds(err, wrapping, "%s: can be wrapped by mechanism %#x", name, kind)
	}
}

// wrapWithIt tries to wrap a key of the attacker under the driver's key, which is half of
// a wrap and decrypt attack.
func (a *attackSession) wrapWithIt(name string, o p11.ObjectHandle) {
	mine := a.ownKey(true)
	defer a.DestroyObject(a.session, mine)
	for kind, iv := range wrapMechanisms {
		_, err := a.WrapKey(a.session, mech(kind, iv), o, mine)
		a.succeeds(err, wrappingBy, "%s: wraps by mechanism %#x", name, kind)
	}
}

// deriveFromIt tries to derive a readable key from the driver's key.
func (a *attackSession) deriveFromIt(name string, o p11.ObjectHandle) {
	t := []*p11.Attribute{
		attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET), attribute(p11.CKA_TOKEN, false),
		attribute(p11.CKA_VALUE_LEN, 16), attribute(p11.CKA_EXTRACTABLE, true), attribute(p11.CKA_SENSITIVE, false),
	}
	for kind, parameter := range map[uint][]byte{
		p11.CKM_EXTRACT_KEY_FROM_KEY: make([]byte, 8), p11.CKM_SHA256_KEY_DERIVATION: nil, p11.CKM_AES_ECB_ENCRYPT_DATA: make([]byte, 16),
	} {
		_, err := a.DeriveKey(a.session, mech(kind, parameter), o, t)
		a.succeeds(err, deriving, "%s: a readable key can be derived by mechanism %#x", name, kind)
	}
}

// knownAttacks are the attacks that a token allows regardless of a key's template, so
// that no driver can prevent them. The driver reports such a token as SOFTWARE.
var knownAttacks = []struct {
	manufacturer, model string // their prefixes
	kinds               []attackKind
	source              string
}{
	{"Mozilla Foundation", "NSS", []attackKind{copying, exposing, wrapping, wrappingBy, deriving},
		"NSS 3.87 wraps, copies and derives whatever the attributes say (measured)"},
	{"IBM Corp.", "IBM SoftTok", []attackKind{copying},
		"opencryptoki before 3.16 does not know CKA_COPYABLE, and in a copy takes any CKA_MODIFIABLE and any role of a secret key " +
			"(v3.8.1, usr/lib/pkcs11/common: object_copy, secret_key_validate_attribute, template_validate_base_attribute); " +
			"a copy cannot be read, wrapped or made extractable"},
}

// isKnown reports whether a token is known to allow an attack.
func isKnown(of driver.Info, won success) bool {
	for _, k := range knownAttacks {
		if strings.HasPrefix(of.Device.Manufacturer, k.manufacturer) && strings.HasPrefix(of.Device.Model, k.model) {
			return of.Level == driver.LevelSoftware && slices.Contains(k.kinds, won.kind)
		}
	}
	return false
}

// TestAttacks attacks one key of each spec that the token generated and, where supported,
// one that was imported and one that was unwrapped. No token may allow a key to be read
// or changed directly.
func TestAttacks(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		a := newAttackSession(t, token)
		attacked := 0
		for _, row := range d.Info().Specs {
			if row.Spec.Algorithm == driver.RSA3072 || row.Spec.Algorithm == driver.RSA4096 {
				continue // the same templates as for 2048 bits
			}
			for how, id := range everyWay(t, d, row) {
				a.attack(row.Spec.String()+" "+how, a.objects(id)[0])
				attacked++
			}
		}
		known := 0
		for _, won := range a.won {
			if isKnown(d.Info(), won) {
				known++
				t.Logf("a known attack succeeds: %s (%s)", won.text, won.kind)
			} else {
				t.Errorf("an attack succeeded: %s (%s)", won.text, won.kind)
			}
		}
		t.Logf("%d keys attacked; %d attacks succeed, of which %d are known of this token", attacked, len(a.won), known)
	})
}

// TestReimport unwraps the OAEP part of an imported ciphertext again, as a key that can
// be read or that decrypts. SoftHSM enforces CKA_UNWRAP_TEMPLATE.
func TestReimport(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
	row, ok := d.Info().Find(derive)
	if !ok || row.WrappedImport[0] != driver.WrapRSAAESKWP {
		t.Fatalf("row %+v, want WrappedImport with an AES key first", row)
	}
	wrapping := importWrapped(t, d, freshID(), row)
	a := newAttackSession(t, token)
	with := a.objects(wrapping.id)[0]
	oaep := mech(p11.CKM_RSA_PKCS_OAEP, p11.NewOAEPParams(p11.CKM_SHA_1, p11.CKG_MGF1_SHA1, p11.CKZ_DATA_SPECIFIED, nil))
	unwrap := func(change uint) error {
		t := []*p11.Attribute{attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_AES), attribute(p11.CKA_TOKEN, false)}
		for kind, value := range map[uint]bool{
			p11.CKA_SENSITIVE: true, p11.CKA_EXTRACTABLE: false, p11.CKA_ENCRYPT: false, p11.CKA_DECRYPT: false, p11.CKA_WRAP: false,
		} {
			t = append(t, attribute(kind, value != (kind == change)))
		}
		o, err := a.UnwrapKey(a.session, oaep, with, wrapping.ciphertext[:2048/8], t)
		if err == nil {
			a.read("unwrapped again", o)
		}
		return err
	}
	if err := unwrap(0); err != nil {
		t.Errorf("unwrapping with the key's own attributes, the control: %v", err)
	}
	for _, change := range []uint{p11.CKA_SENSITIVE, p11.CKA_EXTRACTABLE, p11.CKA_ENCRYPT, p11.CKA_DECRYPT, p11.CKA_WRAP} {
		a.succeeds(unwrap(change), reimporting, "unwrapped again with attribute %#x changed", change)
	}
	for _, won := range a.won {
		t.Errorf("an attack succeeded: %s", won.text)
	}
}
