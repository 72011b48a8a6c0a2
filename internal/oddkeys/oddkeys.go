// Package oddkeys makes the private key files that owners bring, right and wrong, for
// the tests of every way in which a key is imported. There is one table, so that all
// ways are held to one rule.
package oddkeys

import (
	"sync"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/openssltest"
)

// A Row is one file.
type Row struct {
	Name string
	// Spec is what the CMK is for.
	Spec driver.KeySpec
	// File is the content of the file.
	File []byte
	// Fault is part of the text with which the file is refused; empty if it is taken.
	Fault string
	// Sign lists the signature algorithms to which the key is restricted; nil: none.
	Sign []driver.SignAlg
	// Unseen: a device that unwraps the file may take it all the same, because what is
	// wrong is in the encoding, and the device tells of the key alone.
	Unseen bool
	// Lacks names drivers and paths (DEVICE) that refuse the file for a lack of the device.
	Lacks []string
	// Converts: the openssl command of the refusal's remedy makes a file that is taken.
	Converts bool
}

// Taken reports whether a key file is taken.
func (r Row) Taken() bool { return r.Fault == "" }

var (
	once sync.Once
	rows []Row
)

// Table returns the rows, which are made once in a process: by openssl and by hand.
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

// made returns the file that openssl commands, split at spaces, write to "out". "in" is
// the file before.
func made(b openssltest.Bench, in []byte, lines ...string) []byte {
	b.Helper()
	b.Write("in", in)
	for _, line := range lines {
		b.Run(line)
		b.Write("in", b.Read("out"))
	}
	return b.Read("out")
}

// generated returns a key that openssl makes, as PKCS #8 in DER.
func generated(b openssltest.Bench, arguments string) []byte {
	b.Helper()
	return made(b, nil, "genpkey -out out "+arguments, toPKCS8)
}

const toPKCS8 = "pkcs8 -topk8 -nocrypt -in in -outform DER -out out"
