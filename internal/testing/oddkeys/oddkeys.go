// Package oddkeys generates private key files as owners import them, valid and invalid,
// for the tests of every import path. One table serves all paths, so that all apply the
// same rules.
package oddkeys

import (
	"sync"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/openssltest"
)

// A Row is one file.
type Row struct {
	Name string
	// Spec is the spec of the CMK that the file is imported into.
	Spec driver.KeySpec
	// File is the content of the file.
	File []byte
	// Fault is part of the error text for a file that is rejected; empty if the file is
	// accepted.
	Fault string
	// Sign lists the signature algorithms to which the key is restricted; nil if it is
	// not restricted.
	Sign []driver.SignAlg
	// Key is the public half of the private key in a file whose fault a device that unwraps
	// it may not detect, because the device reports on the key alone. The device must then
	// have this key. It is nil for every other file, and is SubjectPublicKeyInfo.
	Key []byte
	// Public is the public half as the owner of the key gives it with the file, if that is
	// not the one of the key alone: of another key, or with the identifier id-RSASSA-PSS.
	Public []byte
	// Lacks lists drivers and paths (DEVICE) that reject the file because the device does
	// not support it.
	Lacks []string
	// Converts reports that the openssl command in the error's remedy makes an acceptable
	// file.
	Converts bool
}

// Taken reports whether the file is accepted.
func (r Row) Taken() bool { return r.Fault == "" }

var (
	once sync.Once
	rows []Row
)

// Table returns the rows. They are generated once in a process, by openssl and by this
// package.
func Table(t *testing.T) []Row {
	t.Helper()
	b := openssltest.New(t)
	once.Do(func() {
		rows = append(rows, rsaRows(b)...)
		rows = append(rows, pssRows(b)...)
		rows = append(rows, fileRows(b)...)
		rows = append(rows, ecRows(b)...)
		rows = append(rows, ed25519Rows(b)...)
		rows = append(rows, sm2Rows(b)...)
	})
	if len(rows) == 0 {
		t.Fatal("the table of odd keys could not be made")
	}
	return rows
}

// The specs of the rows.
var (
	rsaSign    = driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}
	rsaDecrypt = driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}
	p256       = driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}
	p384       = driver.KeySpec{Algorithm: driver.ECP384, Usage: driver.Sign}
	p521       = driver.KeySpec{Algorithm: driver.ECP521, Usage: driver.Sign}
	edSign     = driver.KeySpec{Algorithm: driver.Ed25519, Usage: driver.Sign}
	sm2Sign    = driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Sign}
	sm2Decrypt = driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Decrypt}
)

// made runs openssl command lines, split at spaces, and returns the file "out" that they
// write. "in" is the input file.
func made(b openssltest.Bench, in []byte, lines ...string) []byte {
	b.Helper()
	b.Write("in", in)
	for _, line := range lines {
		b.Run(line)
		b.Write("in", b.Read("out"))
	}
	return b.Read("out")
}

// generated returns a key that openssl generates, as PKCS #8 in DER.
func generated(b openssltest.Bench, arguments string) []byte {
	b.Helper()
	return made(b, nil, "genpkey -out out "+arguments, toPKCS8)
}

// publicOf returns the public half that openssl gives of a private key in DER.
func publicOf(b openssltest.Bench, file []byte) []byte {
	b.Helper()
	return made(b, file, "pkey -inform DER -in in -pubout -outform DER -out out")
}

const toPKCS8 = "pkcs8 -topk8 -nocrypt -in in -outform DER -out out"
