package format

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/driver/tpm/internal/wire"
)

// A KeyFile is a TPM 2.0 key file (draft "ASN.1 Specification for TPM 2.0 Key Files"), in
// the form that OpenSSL's tpm2 provider reads. This package neither writes nor reads
// policies, wrapped keys and descriptions; a file that contains one is an error.
type KeyFile struct {
	EmptyAuth bool
	Parent    int64
	Public    []byte
	Private   []byte
}

const (
	pemType = "TSS2 PRIVATE KEY"
	// OwnerParent denotes the storage root key of the "H" template.
	OwnerParent = int64(tpm2.TPMRHOwner)
)

// ErrKeyFile is the error for text that is not a key file for a key of the spec.
var ErrKeyFile = errors.New("no TPM 2.0 key file of this spec, without a policy in it")

// loadable returns the OID of a key that TPM2_Load loads.
func loadable() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3} }

// Encode returns the file as PEM. It writes emptyAuth even if it is false, because the
// provider takes its absence for true.
func (f KeyFile) Encode() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(loadable())
		b.AddASN1(emptyAuth, func(b *cryptobyte.Builder) { b.AddASN1Boolean(f.EmptyAuth) })
		b.AddASN1Int64(f.Parent)
		b.AddASN1OctetString(wire.AppendSized(nil, f.Public))
		b.AddASN1OctetString(wire.AppendSized(nil, f.Private))
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

const emptyAuth = casn1.Tag(0xA0) // [0] EXPLICIT

// ParseKeyFile parses PEM text that holds exactly one key file.
func ParseKeyFile(text []byte) (f KeyFile, err error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemType || len(bytes.TrimSpace(rest)) != 0 {
		return f, ErrKeyFile
	}
	if !f.decode(block.Bytes) {
		return f, ErrKeyFile
	}
	public, private := wire.Reader{Rest: f.Public}, wire.Reader{Rest: f.Private}
	f.Public, f.Private = public.Sized(), private.Sized()
	if public.Done() != nil || private.Done() != nil {
		return f, ErrKeyFile
	}
	return f, nil
}

// decode parses DER. It does not use encoding/asn1, because OpenSSL's provider encodes
// true as 1, which DER does not allow.
func (f *KeyFile) decode(der []byte) bool {
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
