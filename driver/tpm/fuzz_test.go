package tpm

import (
	"bytes"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

// FuzzBlob decodes blobs. A blob that decodes must encode to the same bytes.
func FuzzBlob(f *testing.F) {
	n := keyName{spec: driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}}
	b := blob{parent: []byte("parent"), auth: newAuth(), public: []byte("public"), private: []byte("private")}
	f.Add([]byte(b.encode(n)))
	b.adopted = true
	f.Add([]byte(b.encode(n)))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := decode(n, in)
		if err == nil && !bytes.Equal(got.encode(n), in) {
			t.Error("decoding and encoding a blob gave other bytes")
		}
	})
}

// FuzzSealed does the same for a protector's blob.
func FuzzSealed(f *testing.F) {
	f.Add([]byte(sealed{mode: modePCR, pcrs: []uint{0, 7}, parent: []byte("parent")}.encode()))
	f.Add([]byte(sealed{mode: modeApproved}.encode()))
	f.Add([]byte(sealed{mode: modeBound}.encode()))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := decodeSealed(in)
		if err == nil && !bytes.Equal(got.encode(), in) {
			t.Error("decoding and encoding a blob gave other bytes")
		}
	})
}

// FuzzKeyFile parses key files. A key file that parses must encode to a file that parses
// to the same key.
func FuzzKeyFile(f *testing.F) {
	text, err := keyFile{EmptyAuth: true, Parent: ownerParent, Public: []byte{1}, Private: []byte{2}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, in []byte) {
		file, err := parseKeyFile(in)
		if err != nil {
			return
		}
		out, err := file.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseKeyFile(out)
		if err != nil || again.Parent != file.Parent || again.EmptyAuth != file.EmptyAuth ||
			!bytes.Equal(again.Public, file.Public) || !bytes.Equal(again.Private, file.Private) {
			t.Errorf("encoding and parsing a key file gave another key: %v", err)
		}
	})
}

// FuzzArea parses public areas, and converts them as the driver does.
func FuzzArea(f *testing.F) {
	for _, k := range []kind{
		{row: row(driver.HMACSHA256, driver.Derive)},
		{row: decrypter(driver.RSA2048, driver.RSARaw)},
		{signer(driver.ECP256, driver.ECDSASHA256), tpm2.TPMECCNistP256},
		{signer(driver.SM2, driver.SM2DSA), tpm2.TPMECCSM2P256},
	} {
		f.Add(tpm2.Marshal(k.area(make([]byte, 32))))
	}
	f.Add(tpm2.Marshal(template()))
	k := kind{signer(driver.ECP256, driver.ECDSASHA256), tpm2.TPMECCNistP256}
	f.Fuzz(func(t *testing.T, in []byte) {
		area, err := parseArea(in)
		if err != nil {
			return
		}
		publicDER(area)
		if err := k.check(area, make([]byte, 32)); err == nil && area.Type != tpm2.TPMAlgECC {
			t.Error("check accepted an area of another type")
		}
		k.checkFile(area)
	})
}

// FuzzResponse parses responses as a device that is not a TPM may send them.
func FuzzResponse(f *testing.F) {
	f.Add([]byte{0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0}, false)
	f.Add([]byte{0x80, 2, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, true)
	// More parameters than a 32-bit int can count.
	f.Add([]byte{0x80, 2, 0, 0, 0, 19, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 1, 0, 0}, true)
	f.Fuzz(func(t *testing.T, in []byte, inSession bool) {
		c := command{code: tpm2.TPMCCUnseal, out: true}
		if inSession {
			c.session = &session{}
		}
		if _, err := c.parse(in, make([]byte, 32)); err == nil && inSession {
			t.Error("parse accepted a response that was made without the session's key")
		}
	})
}
