package pkcs1_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"testing"

	"github.com/c2sp/wycheproof"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/pkcs1"
)

// hexBytes is a byte string in the encoding of the vectors.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// openRSA opens a private key in the software engine.
func openRSA(t *testing.T, bits int, pkcs8 []byte) driver.Decrypter {
	t.Helper()
	d, err := soft.Open(t.Context(), soft.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	algs := map[int]driver.KeyAlgorithm{2048: driver.RSA2048, 3072: driver.RSA3072, 4096: driver.RSA4096}
	spec := driver.KeySpec{Algorithm: algs[bits], Usage: driver.Decrypt}
	var id driver.MaterialID
	rand.Read(id[:])
	created, err := d.ImportKey(context.Background(), id, spec, pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := d.OpenKey(context.Background(), id, spec, created.Blob)
	if err != nil {
		t.Fatal(err)
	}
	return opened.(driver.Decrypter)
}

// decrypt does RSAES-PKCS1-v1_5 as a vault does: raw RSA in the driver, then Unpad.
func decrypt(private driver.Decrypter, ciphertext, key []byte) ([]byte, error) {
	block, err := private.Decrypt(context.Background(), nil, driver.RSARaw, ciphertext)
	if err != nil {
		return nil, err
	}
	return pkcs1.Unpad(nil, block, ciphertext, key)
}

// draftKey returns the key in testdata, and the key for synthetic messages that the draft
// prescribes.
func draftKey(t *testing.T) (private *rsa.PrivateKey, key []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/rsa2048.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(private.D.FillBytes(make([]byte, private.Size())))
	return private, hash[:]
}

// TestDraftVectors checks that synthetic messages equal those of another implementation.
func TestDraftVectors(t *testing.T) {
	private, key := draftKey(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	engine := openRSA(t, 2048, pkcs8)
	text, err := os.ReadFile("testdata/implicit.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			What    string
			Valid   bool
			CT, Msg hexBytes
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	valid := 0
	for _, c := range file.Cases {
		got, err := decrypt(engine, c.CT, key)
		if err != nil || !bytes.Equal(got, c.Msg) {
			t.Errorf("%s: %x, %v", c.What, got, err)
		}
		other, err := decrypt(engine, c.CT, bytes.Repeat([]byte{7}, pkcs1.KeySize))
		if err != nil || len(c.Msg) > 8 && bytes.Equal(other, c.Msg) != c.Valid {
			t.Errorf("%s, under another key: %x, %v", c.What, other, err)
		}
		if c.Valid {
			valid++
		}
	}
	if len(file.Cases) != 14 || valid != 3 {
		t.Errorf("%d cases, %d of them valid", len(file.Cases), valid)
	}
}

type vectorGroup struct {
	KeySize         int
	PrivateKeyPkcs8 hexBytes
	PrivateKey      struct{ Modulus hexBytes }
	Tests           []vector
}

type vector struct {
	TcID    int
	Msg, CT hexBytes
	Result  string
}

// TestWycheproof runs every case through raw RSA and Unpad. An invalid padding must give
// another message and no error. A ciphertext whose length or value no ciphertext of the
// key can have must be Authentic, which discloses nothing about the key.
func TestWycheproof(t *testing.T) {
	for _, row := range []struct {
		file, entry             string
		valid, bad, outOfBounds int
	}{
		{"rsa_pkcs1_2048_test.json", "soft RSA_RAW, Unpad", 42, 19, 6},
		{"rsa_pkcs1_3072_test.json", "soft RSA_RAW, Unpad", 41, 20, 6},
		{"rsa_pkcs1_4096_test.json", "soft RSA_RAW, Unpad", 41, 20, 6},
	} {
		t.Run(row.file, func(t *testing.T) {
			var valid, bad, outOfBounds int
			for _, g := range readGroups(t, row.file) {
				private := openRSA(t, g.KeySize, g.PrivateKeyPkcs8)
				for _, v := range g.Tests {
					got, err := decrypt(private, v.CT, key)
					switch {
					case v.Result == "valid":
						valid++
						if err != nil || !bytes.Equal(got, v.Msg) {
							t.Errorf("case %d: %x, %v", v.TcID, got, err)
						}
					case !inBounds(g, v.CT):
						outOfBounds++
						if !errors.Is(err, driver.Authentic) {
							t.Errorf("case %d: %v", v.TcID, err)
						}
					default:
						bad++
						block, _ := private.Decrypt(context.Background(), nil, driver.RSARaw, v.CT)
						if err != nil || len(got) > 8 && bytes.Contains(block, got) || len(v.Msg) > 0 && bytes.Equal(got, v.Msg) {
							t.Errorf("case %d: %x, %v", v.TcID, got, err)
						}
					}
				}
			}
			if valid != row.valid || bad != row.bad || outOfBounds != row.outOfBounds {
				t.Errorf("ran %d valid, %d badly padded, %d out of bounds", valid, bad, outOfBounds)
			}
		})
	}
}

// inBounds reports whether a ciphertext is as long as the modulus and below it.
func inBounds(g vectorGroup, ciphertext []byte) bool {
	n := new(big.Int).SetBytes(g.PrivateKey.Modulus)
	return len(ciphertext) == g.KeySize/8 && new(big.Int).SetBytes(ciphertext).Cmp(n) < 0
}

func readGroups(t *testing.T, file string) []vectorGroup {
	t.Helper()
	text, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ TestGroups []vectorGroup }
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.TestGroups
}
