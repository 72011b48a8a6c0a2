package oddkeys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"math/big"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/internal/testing/openssltest"
)

// A scalar is a private number on a curve, at full length, and the point 4 ‖ x ‖ y.
type scalar struct{ number, point []byte }

func newScalar(t testing.TB, curve elliptic.Curve) scalar {
	t.Helper()
	if curve == sm2.P256() {
		k, err := sm2.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return scalar{k.D.FillBytes(make([]byte, 32)), append(append([]byte{4}, k.X.FillBytes(make([]byte, 32))...), k.Y.FillBytes(make([]byte, 32))...)}
	}
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	number, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return scalar{number, point}
}

// sec1 returns an ECPrivateKey; nil parts are omitted.
func sec1(number []byte, curve field, public []byte) []byte {
	parts := [][]byte{small(1), octets(number)}
	if curve != nil {
		parts = append(parts, tagged(0, curve))
	}
	if public != nil {
		parts = append(parts, tagged(1, bits(public)))
	}
	return sequence(parts...)
}

// on returns the PKCS #8 encoding of a key on a named curve.
func on(curve field, key []byte) []byte { return pkcs8(sequence(idEC(), curve), key) }

// publicOn returns SubjectPublicKeyInfo of a point on a named curve.
func publicOn(curve field, point []byte) []byte {
	return sequence(sequence(idEC(), curve), bits(point))
}

// pointOf returns the point of a number.
func pointOf(t testing.TB, curve elliptic.Curve, number []byte) []byte {
	t.Helper()
	k, err := ecdsa.ParseRawPrivateKey(curve, number)
	if err != nil {
		t.Fatal(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return point
}

// flipped returns a copy with one bit changed.
func flipped(b []byte) []byte {
	c := append([]byte(nil), b...)
	c[len(c)/2] ^= 1
	return c
}

func compressed(point []byte) []byte {
	return append([]byte{2 | point[len(point)-1]&1}, point[1:1+len(point)/2]...)
}

func hybrid(point []byte) []byte { return append([]byte{6 | point[len(point)-1]&1}, point[1:]...) }

func ecRows(b openssltest.Bench) []Row {
	k, other := newScalar(b, elliptic.P256()), newScalar(b, elliptic.P256())
	wide, strange := newScalar(b, elliptic.P521()), newScalar(b, elliptic.P384())
	order := elliptic.P256().Params().N
	number := func(n *big.Int) []byte { return on(idP256(), sec1(n.FillBytes(make([]byte, 32)), nil, nil)) }
	plus := func(n int64) []byte { return number(new(big.Int).Add(order, big.NewInt(n))) }
	thin := append([]byte{0}, k.number[1:]...) // a number that begins with a zero byte
	v2 := func(public []byte) []byte {
		return sequence(small(1), sequence(idEC(), idP256()), octets(sec1(k.number, nil, nil)), element(0x81, []byte{0}, public))
	}
	p256Public := func(point []byte) []byte { return publicOn(idP256(), point) }
	negated := pointOf(b, elliptic.P256(), new(big.Int).Sub(order, new(big.Int).SetBytes(k.number)).FillBytes(make([]byte, 32)))
	explicit := made(b, nil, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out out", toPKCS8)
	const contradict, pattern = "contradict", "from 2 to n-2"
	return []Row{
		{Name: "EC from openssl", Spec: p256, File: generated(b, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256")},
		{Name: "EC P-384 from openssl", Spec: p384, File: generated(b, "-algorithm EC -pkeyopt ec_paramgen_curve:P-384")},
		{Name: "EC P-521 from openssl", Spec: p521, File: generated(b, "-algorithm EC -pkeyopt ec_paramgen_curve:P-521")},
		{Name: "EC without public half", Spec: p256, File: on(idP256(), sec1(k.number, nil, nil))},
		{Name: "EC, compressed", Spec: p256, File: on(idP256(), sec1(k.number, nil, compressed(k.point)))},
		{Name: "EC, hybrid", Spec: p256, File: on(idP256(), sec1(k.number, nil, hybrid(k.point)))},
		{Name: "EC with the curve inside too", Spec: p256, File: on(idP256(), sec1(k.number, idP256(), k.point))},
		{Name: "EC with the public half outside", Spec: p256, File: v2(k.point), Lacks: []string{"DEVICE"}},
		{Name: "EC without leading zero", Spec: p256, File: on(idP256(), sec1(thin[1:], nil, nil))},
		{Name: "EC with a zero too many", Spec: p256, File: on(idP256(), sec1(append([]byte{0}, k.number...), nil, nil))},
		{Name: "SEC 1", Spec: p256, File: sec1(k.number, idP256(), k.point), Fault: "SEC 1", Converts: true},
		{Name: "SEC 1 in PEM", Spec: p256, Fault: "PEM", Converts: true,
			File: made(b, sec1(k.number, idP256(), k.point), "ec -inform DER -in in -out out")},
		{Name: "EC with explicit parameters", Spec: p256, File: explicit, Fault: "explicit curve parameters", Converts: true},
		{Name: "EC P-384 for P-256", Spec: p256, File: generated(b, "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"), Fault: "P-384"},
		{Name: "EC secp256k1", Spec: p256, File: generated(b, "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1"), Fault: "secp256k1"},
		{Name: "EC brainpoolP256r1", Spec: p256, File: generated(b, "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1"), Fault: "brainpoolP256r1"},
		{Name: "EC number with one bit changed", Spec: p256, File: on(idP256(), sec1(flipped(k.number), nil, k.point)), Fault: contradict, Key: p256Public(pointOf(b, elliptic.P256(), flipped(k.number))), Public: p256Public(k.point)},
		{Name: "EC P-521 number with one bit changed", Spec: p521, File: on(idP521(), sec1(flipped(wide.number), nil, wide.point)), Fault: contradict, Key: publicOn(idP521(), pointOf(b, elliptic.P521(), flipped(wide.number))), Public: publicOn(idP521(), wide.point)},
		{Name: "EC with another's public half", Spec: p256, File: on(idP256(), sec1(k.number, nil, other.point)), Fault: contradict, Key: p256Public(k.point), Public: p256Public(other.point)},
		{Name: "EC with another's public half, compressed", Spec: p256, File: on(idP256(), sec1(k.number, nil, compressed(other.point))), Fault: contradict, Key: p256Public(k.point), Public: p256Public(other.point)},
		{Name: "EC with another's public half outside", Spec: p256, File: v2(other.point), Fault: contradict},
		{Name: "EC with the public half negated", Spec: p256, File: on(idP256(), sec1(k.number, nil, flipSign(compressed(k.point)))), Fault: contradict, Key: p256Public(k.point), Public: p256Public(negated)},
		{Name: "EC with another curve inside", Spec: p256, File: on(idP256(), sec1(k.number, idP384(), nil)), Fault: contradict},
		{Name: "EC with another curve outside", Spec: p256, File: on(idP384(), sec1(k.number, idP256(), k.point)), Fault: "P-384", Key: p256Public(k.point)},
		{Name: "EC with a public half that is on no curve", Spec: p256, File: on(idP256(), sec1(k.number, nil, flipped(k.point))), Fault: contradict},
		{Name: "EC with a public half of P-384", Spec: p256, File: on(idP256(), sec1(k.number, nil, strange.point)), Fault: contradict},
		{Name: "EC d = 0", Spec: p256, File: number(new(big.Int)), Fault: pattern},
		{Name: "EC d = 1", Spec: p256, File: number(big.NewInt(1)), Fault: pattern},
		{Name: "EC d = 2", Spec: p256, File: number(big.NewInt(2))},
		{Name: "EC d = n - 2", Spec: p256, File: plus(-2)},
		{Name: "EC d = n - 1", Spec: p256, File: plus(-1), Fault: pattern},
		{Name: "EC d = n", Spec: p256, File: plus(0), Fault: pattern},
		{Name: "EC d = n + 1", Spec: p256, File: plus(1), Fault: pattern},
		{Name: "EC d = n + 2", Spec: p256, File: plus(2), Fault: pattern, Key: p256Public(pointOf(b, elliptic.P256(), big.NewInt(2).FillBytes(make([]byte, 32))))},
		{Name: "EC number too long", Spec: p256, File: on(idP256(), sec1(append([]byte{1}, k.number...), nil, nil)), Fault: pattern},
		{Name: "EC inside followed by a byte", Spec: p256, File: on(idP256(), append(sec1(k.number, nil, k.point), 0)), Fault: "not strict DER", Key: p256Public(k.point)},
		{Name: "EC followed by a byte", Spec: p256, File: append(on(idP256(), sec1(k.number, nil, k.point)), 0), Fault: "1 byte follows", Key: p256Public(k.point)},
		{Name: "EC of version 2 inside", Spec: p256, Fault: "RFC 5915", Key: p256Public(k.point),
			File: on(idP256(), sequence(small(2), octets(k.number)))},
		{Name: "EC with no curve", Spec: p256, File: pkcs8(sequence(idEC()), sec1(k.number, nil, k.point)), Fault: "not named"},
		{Name: "EC for key agreement", Spec: p256, File: pkcs8(sequence(oid(1, 3, 132, 1, 12), idP256()), sec1(k.number, nil, nil)), Fault: "id-ecDH"},
		{Name: "EC as a bare number", Spec: p256, File: k.number, Fault: "bare number"},
		{Name: "RSA for EC", Spec: p256, File: generated(b, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"), Fault: "is RSA"},
		{Name: "Ed25519 for EC", Spec: p256, File: generated(b, "-algorithm ED25519"), Fault: "Ed25519"},
		{Name: "SM2 for EC", Spec: p256, File: generated(b, "-algorithm SM2"), Fault: "sm2p256v1"},
	}
}

// flipSign negates a compressed point.
func flipSign(point []byte) []byte {
	c := append([]byte(nil), point...)
	c[0] ^= 1
	return c
}

func ed25519Rows(b openssltest.Bench) []Row {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	seed := octets(private.Seed())
	v2 := func(public field) []byte { return sequence(small(1), sequence(idEd()), octets(seed), public) }
	const contradict = "contradict"
	return []Row{
		{Name: "Ed25519 from openssl", Spec: edSign, File: generated(b, "-algorithm ED25519")},
		{Name: "Ed25519 with its public half", Spec: edSign, File: v2(element(0x81, []byte{0}, public))},
		{Name: "Ed25519 with its public half, explicit", Spec: edSign, File: v2(tagged(1, bits(public)))},
		{Name: "Ed25519 with another's public half", Spec: edSign, File: v2(element(0x81, []byte{0}, other)), Fault: contradict},
		{Name: "Ed25519 with another's public half, explicit", Spec: edSign, File: v2(tagged(1, bits(other))), Fault: contradict},
		{Name: "Ed25519 seed with one bit changed", Spec: edSign, Fault: contradict,
			File: sequence(small(1), sequence(idEd()), octets(octets(flipped(private.Seed()))), element(0x81, []byte{0}, public))},
		{Name: "Ed25519 of version 0 with its public half", Spec: edSign, Fault: "version",
			File: sequence(small(0), sequence(idEd()), octets(seed), element(0x81, []byte{0}, public))},
		{Name: "Ed25519 with NULL", Spec: edSign, File: pkcs8(sequence(idEd(), null()), seed), Fault: "parameters"},
		{Name: "Ed25519 of 31 bytes", Spec: edSign, File: pkcs8(sequence(idEd()), octets(private.Seed()[1:])), Fault: "32 bytes"},
		{Name: "Ed25519 as 64 bytes", Spec: edSign, File: pkcs8(sequence(idEd()), octets(private)), Fault: "32 bytes"},
		{Name: "Ed25519 followed by a byte", Spec: edSign, File: append(pkcs8(sequence(idEd()), seed), 0), Fault: "1 byte follows"},
		{Name: "Ed25519 in PEM", Spec: edSign, File: made(b, nil, "genpkey -algorithm ED25519 -out out"), Fault: "PEM", Converts: true},
		{Name: "Ed25519 as a bare seed", Spec: edSign, File: private.Seed(), Fault: "bare number"},
		{Name: "X25519 for Ed25519", Spec: edSign, File: generated(b, "-algorithm X25519"), Fault: "X25519"},
		{Name: "Ed448 for Ed25519", Spec: edSign, File: generated(b, "-algorithm ED448"), Fault: "Ed448"},
		{Name: "EC for Ed25519", Spec: edSign, File: generated(b, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"), Fault: "elliptic curve"},
	}
}

func sm2Rows(b openssltest.Bench) []Row {
	k, other := newScalar(b, sm2.P256()), newScalar(b, sm2.P256())
	number := func(n int64) []byte {
		d := new(big.Int).Add(sm2.P256().Params().N, big.NewInt(n))
		return on(idSM2(), sec1(d.FillBytes(make([]byte, 32)), nil, nil))
	}
	const contradict, pattern = "contradict", "from 2 to n-2"
	return []Row{
		{Name: "SM2 from openssl", Spec: sm2Sign, File: generated(b, "-algorithm SM2")},
		{Name: "SM2 to decrypt", Spec: sm2Decrypt, File: on(idSM2(), sec1(other.number, idSM2(), other.point))},
		{Name: "SM2 under its own identifier", Spec: sm2Sign, File: pkcs8(sequence(idSM2(), idSM2()), sec1(k.number, nil, k.point))},
		{Name: "SM2, compressed", Spec: sm2Sign, File: on(idSM2(), sec1(k.number, nil, compressed(k.point)))},
		{Name: "SM2 number with one bit changed", Spec: sm2Sign, File: on(idSM2(), sec1(flipped(k.number), nil, k.point)), Fault: contradict},
		{Name: "SM2 to decrypt, number with one bit changed", Spec: sm2Decrypt, File: on(idSM2(), sec1(flipped(k.number), nil, k.point)), Fault: contradict},
		{Name: "SM2 with another's public half", Spec: sm2Sign, File: on(idSM2(), sec1(k.number, nil, other.point)), Fault: contradict},
		{Name: "SM2 with another curve inside", Spec: sm2Sign, File: on(idSM2(), sec1(k.number, idP256(), nil)), Fault: contradict},
		{Name: "SM2 identifier and P-256", Spec: sm2Sign, File: pkcs8(sequence(idSM2(), idP256()), sec1(k.number, nil, nil)), Fault: contradict},
		{Name: "SM2 d = n - 2", Spec: sm2Sign, File: number(-2)},
		{Name: "SM2 d = n - 1", Spec: sm2Sign, File: number(-1), Fault: pattern},
		{Name: "SM2 d = n", Spec: sm2Sign, File: number(0), Fault: pattern},
		{Name: "SM2 as SEC 1", Spec: sm2Sign, File: sec1(k.number, idSM2(), k.point), Fault: "SEC 1", Converts: true},
		{Name: "EC for SM2", Spec: sm2Sign, File: generated(b, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"), Fault: "P-256"},
	}
}
