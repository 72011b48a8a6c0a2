package pkcs8

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/internal/suite"
)

// identify returns an error that names the format of a file that is not PKCS #8 in DER,
// or nil if the format is not known.
func identify(in []byte) error {
	text := bytes.TrimSpace(bytes.TrimPrefix(in, []byte("\xef\xbb\xbf")))
	switch {
	case len(in) == 0:
		return refuse("", "there is no private key: the material is empty")
	case bytes.HasPrefix(text, []byte("-----BEGIN ")):
		return identifyPEM(text)
	case bytes.HasPrefix(text, []byte("{")) && isText(text):
		return refuse("export it as PKCS #8 in DER", "the private key is JSON (a JWK?), not DER")
	case bytes.HasPrefix(text, []byte("PuTTY-User-Key-File")):
		return refuse("export it as PKCS #8: puttygen key -O private-openssh-new, then ssh-keygen -p -m PKCS8 -f, then openssl pkcs8", "the private key is a PuTTY file, not DER")
	case bytes.HasPrefix(text, []byte("ssh-")), bytes.HasPrefix(text, []byte("ecdsa-sha2-")):
		return refuse("bring the private key", "this is a public key of SSH")
	case isHex(text):
		return refuse("decode it: xxd -r -p key key.der", "the private key is hexadecimal text, not DER")
	case isBase64(text):
		return refuse("decode it: openssl base64 -d -A -in key -out key.der", "the private key is base64 text, not DER")
	case bytes.HasPrefix(in, []byte("\x30\x80")):
		return refuse(convertDER, "the private key is BER of indefinite length, not DER")
	}
	return identifyDER(in)
}

// identifyPEM returns the error for a PEM file, by its label.
func identifyPEM(text []byte) error {
	label, _, _ := bytes.Cut(text[len("-----BEGIN "):], []byte("-----"))
	switch string(label) {
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return refuse("bring the private key", "this is a public key in PEM")
	case "CERTIFICATE", "CERTIFICATE REQUEST":
		return refuse("bring the private key", "this is a certificate in PEM")
	case "ENCRYPTED PRIVATE KEY":
		return refuse(convertPEM, "the private key is PEM, not DER, and encrypted under a password")
	case "OPENSSH PRIVATE KEY":
		return refuse("convert a copy: ssh-keygen -p -N '' -m PKCS8 -f key; then openssl pkcs8 -topk8 -nocrypt -in key -outform DER -out key.der", "the private key is an OpenSSH file, not PKCS #8 in DER")
	case "EC PARAMETERS":
		return refuse(convertPEM, "the private key is PEM, not DER, with curve parameters in front")
	}
	return refuse(convertPEM, "the private key is PEM, not DER")
}

// isText reports whether all bytes are ASCII text.
func isText(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' && r != '\r' && r != '\t' })
}

func isHex(text []byte) bool {
	out := make([]byte, len(text)/2)
	defer suite.Wipe(out)
	compact := bytes.Join(bytes.Fields(text), nil)
	defer suite.Wipe(compact)
	if len(compact) < 32 || len(compact)/2 > len(out) {
		return false
	}
	_, err := hex.Decode(out, compact)
	return err == nil
}

func isBase64(text []byte) bool {
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	defer suite.Wipe(out)
	n, err := base64.StdEncoding.Decode(out, text)
	return err == nil && n >= 32
}

// identifyDER returns the error for another structure of a key in DER.
func identifyDER(in []byte) error {
	var inner, part cryptobyte.String
	input := cryptobyte.String(in)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) {
		if len(in) == 32 || len(in) == 48 || len(in) == 66 {
			return refuse("encode it as PKCS #8 in DER", "the private key is a bare number of %d bytes", len(in))
		}
		return nil
	}
	if inner.PeekASN1Tag(asn1.SEQUENCE) {
		return identifySequence(inner)
	}
	var version int
	if !inner.ReadASN1Integer(&version) {
		return nil
	}
	switch {
	case version == 3 && inner.PeekASN1Tag(asn1.SEQUENCE):
		return refuse("take the key out: openssl pkcs12 -in key -nocerts -nodes -out key.pem, then openssl pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der", "this is a PKCS #12 file")
	case version == 1 && inner.PeekASN1Tag(asn1.OCTET_STRING):
		return refuse(convertDER, "the private key is SEC 1 (RFC 5915), not PKCS #8")
	case !inner.PeekASN1Tag(asn1.INTEGER):
		return nil
	}
	n := 0
	for inner.ReadASN1(&part, asn1.INTEGER) {
		n++
	}
	switch {
	case n == 5 && version == 0:
		return refuse(otherCMK, "the private key is DSA")
	case n >= 8 && (version == 0 || version == 1):
		return refuse(convertDER, "the private key is PKCS #1, not PKCS #8")
	}
	return nil
}

// identifySequence distinguishes the structures that begin with an algorithm identifier.
func identifySequence(inner cryptobyte.String) error {
	var first cryptobyte.String
	switch {
	case !inner.ReadASN1(&first, asn1.SEQUENCE):
	case inner.PeekASN1Tag(asn1.OCTET_STRING):
		return refuse(convertDER, "the private key is encrypted under a password")
	case inner.PeekASN1Tag(asn1.BIT_STRING):
		return refuse("bring the private key", "this is a public key")
	case inner.PeekASN1Tag(asn1.SEQUENCE):
		return refuse("bring the private key", "this is a certificate")
	}
	return nil
}
