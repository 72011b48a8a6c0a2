package oddkeys

import (
	"encoding/base64"
	"encoding/hex"

	"strongroom.example/internal/testing/openssltest"
)

// fileRows returns files in other formats than PKCS #8 in DER.
func fileRows(b openssltest.Bench) []Row {
	good := generatedRSA(b, 2048)
	der := good.pkcs8()
	pem := made(b, der, "pkey -inform DER -in in -out out")
	traditional := made(b, der, "pkey -inform DER -in in -traditional -out out")
	encryptedPEM := made(b, der, "pkcs8 -topk8 -inform DER -in in -v2 aes-256-cbc -passout pass:word -out out")
	encrypted := made(b, der, "pkcs8 -topk8 -inform DER -in in -v2 aes-256-cbc -passout pass:word -outform DER -out out")
	certificate := made(b, pem, "req -x509 -new -key in -subj /CN=odd -days 1 -out out")
	b.Write("certificate", certificate)
	b.Write("key", pem)
	b.Run("pkcs12 -export -inkey key -in certificate -passout pass:word -out out")
	pkcs12 := b.Read("out")
	wide := append([]byte{0x30, 0x83, 0}, der[2:]...) // a length of three bytes where two suffice
	endless := append(append([]byte{0x30, 0x80}, der[4:]...), 0, 0)
	var rows []Row
	for _, r := range []Row{
		{Name: "PEM", File: pem, Fault: "PEM", Converts: true},
		{Name: "PEM of PKCS #1", File: traditional, Fault: "PEM", Converts: true},
		{Name: "PEM, encrypted", File: encryptedPEM, Fault: "encrypted under a password"},
		{Name: "PKCS #1", File: good.pkcs1(), Fault: "PKCS #1", Converts: true},
		{Name: "encrypted PKCS #8", File: encrypted, Fault: "encrypted under a password"},
		{Name: "PKCS #12", File: pkcs12, Fault: "PKCS #12"},
		{Name: "public key", File: made(b, pem, "pkey -in in -pubout -outform DER -out out"), Fault: "public key"},
		{Name: "public key in PEM", File: made(b, pem, "pkey -in in -pubout -out out"), Fault: "public key in PEM"},
		{Name: "certificate", File: made(b, certificate, "x509 -in in -outform DER -out out"), Fault: "certificate"},
		{Name: "certificate in PEM", File: certificate, Fault: "certificate in PEM"},
		{Name: "base64", File: []byte(base64.StdEncoding.EncodeToString(der) + "\n"), Fault: "base64 text", Converts: true},
		{Name: "hexadecimal", File: []byte(hex.EncodeToString(der)), Fault: "hexadecimal text"},
		{Name: "JWK", File: []byte(`{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}`), Fault: "JSON"},
		{Name: "OpenSSH", File: []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE=\n-----END OPENSSH PRIVATE KEY-----\n"), Fault: "OpenSSH"},
		{Name: "a byte follows", File: append(der[:len(der):len(der)], 0), Fault: "1 byte follows", Key: good.public()},
		{Name: "another key follows", File: append(der[:len(der):len(der)], der...), Fault: "bytes follow", Key: good.public()},
		{Name: "a byte short", File: der[:len(der)-1], Fault: "not strict DER"},
		{Name: "BER with a long length", File: wide, Fault: "not strict DER", Key: good.public()},
		{Name: "BER of indefinite length", File: endless, Fault: "indefinite length", Key: good.public()},
		{Name: "version 2", File: sequence(small(2), sequence(idRSA(), null()), octets(good.pkcs1())), Fault: "version", Key: good.public()},
		{Name: "parameters where NULL is", File: pkcs8(sequence(idRSA(), small(1)), good.pkcs1()), Fault: "parameters", Key: good.public()},
		{Name: "parts too many", File: sequence(small(0), sequence(idRSA(), null()), octets(good.pkcs1()), small(1)), Fault: "not strict DER"},
		{Name: "DSA", File: pkcs8(sequence(oid(1, 2, 840, 10040, 4, 1)), small(7)), Fault: "DSA"},
		{Name: "zeros", File: make([]byte, 128), Fault: "not strict DER"},
	} {
		r.Name, r.Spec = "file: "+r.Name, rsaSign
		rows = append(rows, r)
	}
	return rows
}
