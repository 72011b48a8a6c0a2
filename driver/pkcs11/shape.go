//go:build cgo && unix

package pkcs11

import (
	"encoding/hex"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// A shape is the form of a spec in a token.
type shape struct {
	spec        driver.KeySpec
	class, kind uint   // CKO, CKK
	generate    uint   // CKM
	size        uint   // in bytes for secret keys, in bits for RSA
	curve       []byte // CKA_EC_PARAMS
	roles       []uint // the attributes that are true; all other roles are false
	publicRoles []uint
	mechanisms  []uint // the mechanisms that the key may be used with
	name        string // the label, if it is not made of spec and id
}

// Mechanisms and key types that miekg/pkcs11 does not define.
const (
	ckkECEdwards        = 0x40
	ckmECEdwardsKeyPair = 0x1055
	ckmEdDSA            = 0x1057
	ckmAESKeyWrapKWP    = 0x210B
)

// shapeOf returns the shape of a spec, or false for a spec that no token supports.
func shapeOf(spec driver.KeySpec) (shape, bool) {
	sh := shape{spec: spec, class: p11.CKO_PRIVATE_KEY}
	switch spec.Algorithm {
	case driver.HMACSHA256:
		sh.class, sh.kind, sh.generate, sh.size = p11.CKO_SECRET_KEY, p11.CKK_GENERIC_SECRET, p11.CKM_GENERIC_SECRET_KEY_GEN, 32
	case driver.AES256GCM:
		sh.class, sh.kind, sh.generate, sh.size = p11.CKO_SECRET_KEY, p11.CKK_AES, p11.CKM_AES_KEY_GEN, 32
	case driver.RSA2048:
		sh.kind, sh.generate, sh.size = p11.CKK_RSA, p11.CKM_RSA_PKCS_KEY_PAIR_GEN, 2048
	case driver.RSA3072:
		sh.kind, sh.generate, sh.size = p11.CKK_RSA, p11.CKM_RSA_PKCS_KEY_PAIR_GEN, 3072
	case driver.RSA4096:
		sh.kind, sh.generate, sh.size = p11.CKK_RSA, p11.CKM_RSA_PKCS_KEY_PAIR_GEN, 4096
	case driver.ECP256, driver.ECP384, driver.ECP521:
		sh.kind, sh.generate, sh.curve = p11.CKK_EC, p11.CKM_EC_KEY_PAIR_GEN, curveParams(spec.Algorithm)
	case driver.Ed25519:
		sh.kind, sh.generate, sh.curve = ckkECEdwards, ckmECEdwardsKeyPair, curveParams(spec.Algorithm)
	default:
		return shape{}, false
	}
	return sh, sh.setRoles()
}

// setRoles sets the roles of the key. It reports false if the usage does not fit the
// algorithm.
func (sh *shape) setRoles() bool {
	usage, rsa := sh.spec.Usage, sh.kind == p11.CKK_RSA
	switch {
	case usage == driver.Derive && sh.kind == p11.CKK_GENERIC_SECRET:
		sh.roles, sh.mechanisms = []uint{p11.CKA_SIGN}, []uint{p11.CKM_SHA256_HMAC}
	case usage == driver.Seal && sh.kind == p11.CKK_AES:
		sh.roles, sh.mechanisms = []uint{p11.CKA_ENCRYPT, p11.CKA_DECRYPT}, []uint{p11.CKM_AES_GCM}
	case usage == driver.Sign && rsa:
		sh.roles, sh.publicRoles = []uint{p11.CKA_SIGN}, []uint{p11.CKA_VERIFY}
		sh.mechanisms = []uint{p11.CKM_RSA_PKCS, p11.CKM_RSA_PKCS_PSS}
	case usage == driver.Sign && sh.kind == p11.CKK_EC:
		sh.roles, sh.publicRoles = []uint{p11.CKA_SIGN}, []uint{p11.CKA_VERIFY}
		sh.mechanisms = []uint{p11.CKM_ECDSA}
	case usage == driver.Sign && sh.kind == ckkECEdwards:
		sh.roles, sh.publicRoles = []uint{p11.CKA_SIGN}, []uint{p11.CKA_VERIFY}
		sh.mechanisms = []uint{ckmEdDSA}
	case usage == driver.Decrypt && rsa:
		sh.roles, sh.publicRoles = []uint{p11.CKA_DECRYPT}, []uint{p11.CKA_ENCRYPT}
		sh.mechanisms = []uint{p11.CKM_RSA_X_509, p11.CKM_RSA_PKCS_OAEP}
	case usage == driver.Unwrap && rsa:
		sh.roles, sh.mechanisms = []uint{p11.CKA_UNWRAP}, []uint{p11.CKM_RSA_PKCS_OAEP}
	default:
		return false
	}
	return true
}

// secret reports whether the key is symmetric.
func (sh shape) secret() bool { return sh.class == p11.CKO_SECRET_KEY }

// search returns the template that finds the key.
func (sh shape) search(id driver.MaterialID) template {
	return template{number(p11.CKA_CLASS, sh.class), number(p11.CKA_KEY_TYPE, sh.kind), raw(p11.CKA_ID, id[:])}
}

// labelPrefix is the prefix of the label of every key that the driver makes.
const labelPrefix = "sr/"

// label returns the label, which identifies the key to administrators of the token. Both
// keys of a pair share it, and so do all reservations of a key. It has at most 40 bytes,
// because some tokens accept no more.
func (sh shape) label(id driver.MaterialID) []byte {
	if sh.name != "" {
		return []byte(sh.name)
	}
	return []byte(labelPrefix + sh.spec.String() + "/" + hex.EncodeToString(id[:8]))
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
