package soft_test

import (
	"context"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"io/fs"
	"math/big"
	"testing"

	"github.com/c2sp/wycheproof"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/testing/vectors"
)

// A primalityVector is a number in two's complement, and whether it is prime. The vectors
// allow the negative of a prime; this package rejects it.
type primalityVector struct {
	TcID   int
	Value  vectors.Hex
	Result string
}

func (v primalityVector) number() *big.Int {
	n := new(big.Int).SetBytes(v.Value)
	if len(v.Value) > 0 && v.Value[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(v.Value))))
	}
	return n
}

// TestWycheproofPrimality runs the vectors through two entry points: every number through
// the test that ImportKey uses, and each number that is as long as a factor of a key
// through ImportKey itself. The latter are all composite.
func TestWycheproofPrimality(t *testing.T) {
	const (
		file         = "primality_test.json"
		casesProbe   = 317
		casesImport  = 16
		primesInFile = 66
	)
	text, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		TestGroups []struct{ Tests []primalityVector }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	d := newDriver(t, soft.Config{})
	var probed, primes, imported int
	for _, g := range doc.TestGroups {
		for _, v := range g.Tests {
			n, prime := v.number(), v.Result == "valid"
			probed++
			if prime {
				primes++
			}
			if pkcs8.IsPrime(n) != prime {
				t.Errorf("case %d: the result differs from the vector's, %s", v.TcID, v.Result)
			}
			if n.BitLen() != 1024 || n.Sign() < 0 {
				continue
			}
			imported++
			if err := importFactor(t, d, n); (err == nil) != prime || err != nil && !errors.Is(err, driver.Invalid) {
				t.Errorf("case %d: ImportKey of an RSA key with this factor: %v", v.TcID, err)
			}
		}
	}
	if probed != casesProbe || primes != primesInFile || imported != casesImport {
		t.Errorf("probed %d numbers, %d of them prime, and imported %d", probed, primes, imported)
	}
	// The keys below have no other fault than their factor.
	p, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	if err := importFactor(t, d, p); err != nil {
		t.Errorf("ImportKey of a key with a prime factor: %v", err)
	}
}

// importFactor imports an RSA-2048 key with p as one factor, prime or not. The parts of
// the key are consistent.
func importFactor(t *testing.T, d *soft.Driver, p *big.Int) error {
	t.Helper()
	one, e := big.NewInt(1), big.NewInt(65537)
	p1 := new(big.Int).Sub(p, one)
	// q is just below 2^1024, so that the product has 2048 bits for every p.
	q := new(big.Int).Sub(new(big.Int).Lsh(one, 1024), one)
	for !q.ProbablyPrime(20) {
		q.Sub(q, big.NewInt(2))
	}
	q1 := new(big.Int).Sub(q, one)
	n, phi := new(big.Int).Mul(p, q), new(big.Int).Mul(p1, q1)
	for new(big.Int).GCD(nil, nil, e, phi).Cmp(one) != 0 {
		e.Add(e, big.NewInt(2))
	}
	private := new(big.Int).ModInverse(e, phi)
	inverse := new(big.Int).ModInverse(q, p)
	if n.BitLen() != 2048 || private == nil || inverse == nil {
		t.Fatalf("cannot construct a key with a factor of %d bits", p.BitLen())
	}
	numbers := []*big.Int{new(big.Int), n, e, private, p, q,
		new(big.Int).Mod(private, p1), new(big.Int).Mod(private, q1), inverse}
	inner, err := asn1.Marshal(numbers)
	if err != nil {
		t.Fatal(err)
	}
	rsaOID := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	material, err := asn1.Marshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: rsaOID, Parameters: asn1.NullRawValue}, inner})
	if err != nil {
		t.Fatal(err)
	}
	spec := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}
	_, err = d.ImportKey(context.Background(), driver.MaterialID{1}, spec, material)
	return err
}
