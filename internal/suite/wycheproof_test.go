package suite_test

import (
	"bytes"
	"crypto/fips140"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"

	"strongroom.example/internal/suite"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(text []byte) error {
	b, err := hex.DecodeString(string(bytes.Trim(text, `"`)))
	*h = b
	return err
}

type vectorGroup struct {
	KeySize, IVSize, TagSize int
	Tests                    []vector
}

type vector struct {
	ID                         int `json:"tcId"`
	Key, IV, AAD, Msg, CT, Tag hexBytes
	Password, Salt, DK         hexBytes
	IterationCount, DKLen      int
	Result                     string
}

// TestWycheproof runs each file through one entry point. The counts are exact, so that a
// file that shrank or a wrong filter is detected.
func TestWycheproof(t *testing.T) {
	for _, row := range []struct {
		file, entry string
		id          suite.ID
		run         func(t *testing.T, id suite.ID, g vectorGroup, v vector) bool
		executed    int
		valid       int
	}{
		{"hmac_sha256_test.json", "MAC", suite.AES, runMAC, 174, 66},
		{"hmac_sm3_test.json", "MAC", suite.SM, runMAC, 174, 66},
		{"aes_gcm_test.json", "Open", suite.AES, runAEAD, 66, 39},
		{"sm4_gcm_test.json", "Open", suite.SM, runAEAD, 65, 38},
		{"pbkdf2_hmacsha256_test.json", "PBKDF2", suite.AES, runPBKDF2, 60, 60},
	} {
		t.Run(row.file+"/"+row.entry, func(t *testing.T) {
			if fips140.Enforced() && (row.id != suite.AES || row.entry != "Open") {
				t.Skip("the vectors have algorithms, keys or salts that a process that enforces FIPS 140 refuses")
			}
			executed, valid := 0, 0
			for _, g := range readGroups(t, row.file) {
				for _, v := range g.Tests {
					if !row.run(t, row.id, g, v) {
						continue
					}
					executed++
					if v.Result == "valid" {
						valid++
					}
				}
			}
			if executed != row.executed || valid != row.valid {
				t.Errorf("%d cases, %d of them valid; want %d, %d", executed, valid, row.executed, row.valid)
			}
		})
	}
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

// runMAC compares as many bytes as the vector has, because some vectors truncate tags to
// 128 bits.
func runMAC(t *testing.T, id suite.ID, _ vectorGroup, v vector) bool {
	mac := id.MAC(v.Key, v.Msg)
	if got := bytes.Equal(mac[:len(v.Tag)], v.Tag); got != (v.Result == "valid") {
		t.Errorf("case %d: equal is %v, vector is %s", v.ID, got, v.Result)
	}
	return true
}

// runAEAD runs the vectors with the suite's key size and 96-bit nonces.
func runAEAD(t *testing.T, id suite.ID, g vectorGroup, v vector) bool {
	if g.KeySize != id.KeySize()*8 || g.IVSize != 96 {
		return false
	}
	sealed := bytes.Join([][]byte{v.IV, v.CT, v.Tag}, nil)
	got, err := id.Open(nil, v.Key, sealed, v.AAD)
	if (err == nil) != (v.Result == "valid") || err == nil && !bytes.Equal(got, v.Msg) {
		t.Errorf("case %d: error %v, vector is %s", v.ID, err, v.Result)
	}
	again, err := id.Seal(nil, v.Key, v.Msg, v.AAD)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := id.Open(nil, v.Key, again, v.AAD); err != nil || !bytes.Equal(got, v.Msg) {
		t.Errorf("case %d: own seal does not open: %v", v.ID, err)
	}
	return true
}

func runPBKDF2(t *testing.T, id suite.ID, _ vectorGroup, v vector) bool {
	if got := id.PBKDF2(v.Password, v.Salt, v.IterationCount, v.DKLen); !bytes.Equal(got, v.DK) {
		t.Errorf("case %d: wrong key", v.ID)
	}
	return true
}
