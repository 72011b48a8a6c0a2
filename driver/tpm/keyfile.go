package tpm

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/driver"
)

// A keyFile is a TPM 2.0 key file (draft "ASN.1 Specification for TPM 2.0 Key Files"), in
// the form that OpenSSL's tpm2 provider reads. This package neither writes nor reads
// policies, wrapped keys and descriptions; a file that contains one is an error.
type keyFile struct {
	EmptyAuth bool
	Parent    int64
	Public    []byte
	Private   []byte
}

const (
	pemType = "TSS2 PRIVATE KEY"
	// ownerParent denotes the storage root key of the "H" template.
	ownerParent = int64(tpm2.TPMRHOwner)
)

var (
	errKeyFile = errors.New("no TPM 2.0 key file of this spec, without a policy in it")
	// An empty authorization is never wrong, and does not make such a key harmless.
	errCounts  = errors.New("the key in the file takes part in the TPM's protection against dictionary attacks, where a power cut counts as an attack: make it with noda (tpm2_create -a ...|noda)")
	errForeign = errors.New("the key file is under another parent than this TPM's storage root key")
)

// loadable returns the OID of a key that TPM2_Load loads.
func loadable() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3} }

// encode returns the file as PEM. It writes emptyAuth even if it is false, because the
// provider takes its absence for true.
func (f keyFile) encode() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(loadable())
		b.AddASN1(emptyAuth, func(b *cryptobyte.Builder) { b.AddASN1Boolean(f.EmptyAuth) })
		b.AddASN1Int64(f.Parent)
		b.AddASN1OctetString(appendSized(nil, f.Public))
		b.AddASN1OctetString(appendSized(nil, f.Private))
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

const emptyAuth = casn1.Tag(0xA0) // [0] EXPLICIT

// parseKeyFile parses PEM text that holds exactly one key file.
func parseKeyFile(text []byte) (f keyFile, err error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemType || len(bytes.TrimSpace(rest)) != 0 {
		return f, errKeyFile
	}
	if !f.decode(block.Bytes) {
		return f, errKeyFile
	}
	public, private := reader{rest: f.Public}, reader{rest: f.Private}
	f.Public, f.Private = public.sized(), private.sized()
	if public.done() != nil || private.done() != nil {
		return f, errKeyFile
	}
	return f, nil
}

// decode parses DER. It does not use encoding/asn1, because OpenSSL's provider encodes
// true as 1, which DER does not allow.
func (f *keyFile) decode(der []byte) bool {
	outer, body := cryptobyte.String(der), cryptobyte.String(nil)
	var empty, value cryptobyte.String
	var oid asn1.ObjectIdentifier
	var flagged bool
	ok := outer.ReadASN1(&body, casn1.SEQUENCE) && outer.Empty() &&
		body.ReadASN1ObjectIdentifier(&oid) && oid.Equal(loadable()) &&
		body.ReadOptionalASN1(&empty, &flagged, emptyAuth)
	if ok && flagged {
		ok = empty.ReadASN1(&value, casn1.BOOLEAN) && empty.Empty() && len(value) == 1
		f.EmptyAuth = ok && value[0] != 0
	}
	return ok && body.ReadASN1Integer(&f.Parent) &&
		body.ReadASN1Bytes(&f.Public, casn1.OCTET_STRING) &&
		body.ReadASN1Bytes(&f.Private, casn1.OCTET_STRING) && body.Empty()
}

// checkFile returns an error unless a key from a file, of the given area, can be used as
// this kind.
func (k kind) checkFile(area *tpm2.TPMTPublic) error {
	usage, a := k.row.Spec.Usage, area.ObjectAttributes
	fits := usage == driver.Sign && a.SignEncrypt || usage == driver.Decrypt && a.Decrypt
	if fits && !a.NoDA {
		return errCounts
	}
	if !fits || a.Restricted || !a.UserWithAuth || area.NameAlg != tpm2.TPMAlgSHA256 {
		return errKeyFile
	}
	switch area.Type {
	case tpm2.TPMAlgRSA:
		p, err := area.Parameters.RSADetail()
		if err != nil || k.curve != 0 || p.KeyBits != 2048 || p.Exponent != 0 && p.Exponent != 65537 || p.Scheme.Scheme != tpm2.TPMAlgNull {
			return errKeyFile
		}
		return nil
	case tpm2.TPMAlgECC:
		p, err := area.Parameters.ECCDetail()
		if err != nil || k.curve == 0 || p.CurveID != k.curve || p.Scheme.Scheme != tpm2.TPMAlgNull {
			return errKeyFile
		}
		return nil
	}
	return errKeyFile
}
