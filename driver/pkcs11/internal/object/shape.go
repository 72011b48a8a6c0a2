//go:build cgo && unix

package object

import (
	"crypto"
	"encoding/asn1"
	"encoding/hex"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// A Shape is the form of a spec in a token.
type Shape struct {
	Spec        driver.KeySpec
	Class, Kind uint   // CKO, CKK
	Generate    uint   // CKM
	Size        uint   // in bytes for secret keys, in bits for RSA
	curve       []byte // CKA_EC_PARAMS
	roles       []uint // the attributes that are true; all other roles are false
	publicRoles []uint
	Mechanisms  []uint // the mechanisms that the key may be used with
	Name        string // the label, if it is not made of spec and id
}

// Mechanisms and key types that miekg/pkcs11 does not define.
const (
	CKKECEdwards        = 0x40
	ckmECEdwardsKeyPair = 0x1055
	ckmEdDSA            = 0x1057
	CKMAESKeyWrapKWP    = 0x210B
)

// ShapeOf returns the shape of a spec, or false for a spec that no token supports.
func ShapeOf(spec driver.KeySpec) (Shape, bool) {
	sh := Shape{Spec: spec, Class: p11.CKO_PRIVATE_KEY}
	switch spec.Algorithm {
	case driver.HMACSHA256, driver.HMACSHA224, driver.HMACSHA384, driver.HMACSHA512:
		sh.Class, sh.Kind, sh.Generate, sh.Size = p11.CKO_SECRET_KEY, p11.CKK_GENERIC_SECRET, p11.CKM_GENERIC_SECRET_KEY_GEN, uint(spec.Algorithm.MACSize())
	case driver.RSA2048, driver.RSA3072, driver.RSA4096:
		sh.Kind, sh.Generate, sh.Size = p11.CKK_RSA, p11.CKM_RSA_PKCS_KEY_PAIR_GEN, uint(spec.Algorithm.ModulusBits())
	case driver.ECP256, driver.ECP384, driver.ECP521:
		sh.Kind, sh.Generate, sh.curve = p11.CKK_EC, p11.CKM_EC_KEY_PAIR_GEN, curveParams(spec.Algorithm)
	case driver.Ed25519:
		sh.Kind, sh.Generate, sh.curve = CKKECEdwards, ckmECEdwardsKeyPair, curveParams(spec.Algorithm)
	default:
		return Shape{}, false
	}
	return sh, sh.setRoles()
}

// setRoles sets the roles of the key. It reports false if the usage does not fit the
// algorithm.
func (sh *Shape) setRoles() bool {
	usage, rsa := sh.Spec.Usage, sh.Kind == p11.CKK_RSA
	switch {
	case usage == driver.Derive && sh.Kind == p11.CKK_GENERIC_SECRET:
		sh.roles, sh.Mechanisms = []uint{p11.CKA_SIGN}, []uint{hmacs[sh.Spec.Algorithm].mechanism}
	case usage == driver.Sign && rsa:
		sh.roles, sh.publicRoles = []uint{p11.CKA_SIGN}, []uint{p11.CKA_VERIFY}
		sh.Mechanisms = []uint{p11.CKM_RSA_PKCS, p11.CKM_RSA_PKCS_PSS}
	case usage == driver.Sign && sh.Kind == p11.CKK_EC:
		sh.roles, sh.publicRoles = []uint{p11.CKA_SIGN}, []uint{p11.CKA_VERIFY}
		sh.Mechanisms = []uint{p11.CKM_ECDSA}
	case usage == driver.Sign && sh.Kind == CKKECEdwards:
		sh.roles, sh.publicRoles = []uint{p11.CKA_SIGN}, []uint{p11.CKA_VERIFY}
		sh.Mechanisms = []uint{ckmEdDSA}
	case usage == driver.Decrypt && rsa:
		sh.roles, sh.publicRoles = []uint{p11.CKA_DECRYPT}, []uint{p11.CKA_ENCRYPT}
		sh.Mechanisms = []uint{p11.CKM_RSA_X_509, p11.CKM_RSA_PKCS_OAEP}
	case usage == driver.Unwrap && rsa:
		sh.roles, sh.Mechanisms = []uint{p11.CKA_UNWRAP}, []uint{p11.CKM_RSA_PKCS_OAEP}
	default:
		return false
	}
	return true
}

// hmacs has the HMAC algorithms of tokens: the mechanism, and the key type of PKCS #11 v3.0,
// for tokens whose profile has hmacKinds.
var hmacs = map[driver.KeyAlgorithm]struct {
	mechanism, kind uint
	hash            crypto.Hash
}{
	driver.HMACSHA224: {p11.CKM_SHA224_HMAC, 0x2e, crypto.SHA224},
	driver.HMACSHA256: {p11.CKM_SHA256_HMAC, 0x2b, crypto.SHA256},
	driver.HMACSHA384: {p11.CKM_SHA384_HMAC, 0x2c, crypto.SHA384},
	driver.HMACSHA512: {p11.CKM_SHA512_HMAC, 0x2d, crypto.SHA512},
}

// Secret reports whether the key is symmetric.
func (sh Shape) Secret() bool { return sh.Class == p11.CKO_SECRET_KEY }

// Search returns the template that finds the key.
func (sh Shape) Search(id driver.MaterialID) cryptoki.Template {
	return cryptoki.Template{cryptoki.Ulong(p11.CKA_CLASS, sh.Class), cryptoki.Ulong(p11.CKA_KEY_TYPE, sh.Kind), cryptoki.Bytes(p11.CKA_ID, id[:])}
}

// labelPrefix is the prefix of the label of every key that the driver makes.
const labelPrefix = "sr/"

// label returns the label, which identifies the key to administrators of the token. Both
// keys of a pair share it. It has at most 40 bytes, because some tokens accept no more.
func (sh Shape) label(id driver.MaterialID) []byte {
	if sh.Name != "" {
		return []byte(sh.Name)
	}
	return []byte(labelPrefix + sh.Spec.String() + "/" + hex.EncodeToString(id[:8]))
}

// privateRoles returns all roles of secret or private keys.
func privateRoles(secret bool) []uint {
	list := []uint{p11.CKA_DECRYPT, p11.CKA_SIGN, p11.CKA_UNWRAP, p11.CKA_DERIVE}
	if secret {
		return append(list, p11.CKA_ENCRYPT, p11.CKA_VERIFY, p11.CKA_WRAP)
	}
	return append(list, p11.CKA_SIGN_RECOVER)
}

func publicRoles() []uint {
	return []uint{p11.CKA_ENCRYPT, p11.CKA_VERIFY, p11.CKA_WRAP, p11.CKA_VERIFY_RECOVER}
}

// curveParams returns CKA_EC_PARAMS: the curve's object identifier in DER (RFC 5480, RFC
// 8410).
func curveParams(alg driver.KeyAlgorithm) []byte {
	identifiers := map[driver.KeyAlgorithm]asn1.ObjectIdentifier{
		driver.ECP256:  {1, 2, 840, 10045, 3, 1, 7},
		driver.ECP384:  {1, 3, 132, 0, 34},
		driver.ECP521:  {1, 3, 132, 0, 35},
		driver.Ed25519: {1, 3, 101, 112},
	}
	der, err := asn1.Marshal(identifiers[alg])
	if err != nil {
		panic(err) // the identifiers are constants
	}
	return der
}
