package vault

import (
	"context"
	"crypto"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/inputcopy"
	"strongroom.example/vault/internal/publickey"
)

// A MessageType is the kind of the message argument of Sign and Verify. Both calls must use
// the same.
type MessageType string

// The message types.
const (
	// Raw is the message itself, at most MaxMessage bytes. The vault hashes it.
	Raw MessageType = "RAW"
	// Digest is the hash of the message, with exactly the length of the algorithm's hash.
	// For SM2 it is SM3(Z ‖ M), which SM2Digest computes, not SM3(M). Ed25519 does not
	// accept a digest.
	Digest MessageType = "DIGEST"
)

const (
	maxDigest    = 64  // SHA-512
	maxSignature = 512 // RSA-4096
)

// MaxMessage is the maximum length of the message of Sign, Verify and the MAC methods, in
// bytes.
const MaxMessage = 4096

// SM2DefaultID is the signer's id in SM2 signatures if SignOptions.SM2ID is empty (GM/T
// 0009).
const SM2DefaultID = "1234567812345678"

// SignOptions are the options of Sign and Verify.
type SignOptions struct {
	// Algorithm: empty means the default of the key's spec, which for RSA is RSAPSSSHA256.
	Algorithm SignAlgorithm
	// MessageType: empty means Raw.
	MessageType MessageType
	// SM2ID is the signer's id for raw messages with SM2, at most 8191 bytes. Empty means
	// SM2DefaultID.
	SM2ID []byte
}

// Sign signs a message, or its digest, under the CMK. Errors: ErrTooLarge; ErrInvalid for a
// wrong algorithm or length; ErrUsage; ErrKeyState; ErrDenied; ErrUnsupported if the key's
// driver does not have the algorithm, or an imported key does not allow it
// (KeyVersion.SignAlgorithms).
func (c Client) Sign(ctx context.Context, key string, message []byte, o SignOptions) ([]byte, error) {
	if err := o.check(message); err != nil {
		return nil, c.argumentError(ctx, request{op: OpSign, key: key}, err)
	}
	own := c.vault.copyInput(message)
	defer own.Release()
	o.SM2ID = slices.Clone(o.SM2ID)
	q := request{op: OpSign, key: key, size: len(message)}
	return useKey(ctx, c, q, func(ctx context.Context, d *decision) (signature []byte, err error) {
		s, err := c.vault.prepareSignature(ctx, d.t, own.Bytes, o)
		if err != nil {
			return nil, err
		}
		d.rec.Algorithm = string(s.row.alg)
		err = withKey(ctx, c.vault, s.ver, func(ctx context.Context, key driver.Signer) (err error) {
			signature, err = key.Sign(ctx, s.row.device, s.input)
			return err
		})
		d.rec.OutputSize = uint64(len(signature))
		return signature, err
	}, nil)
}

// Verify reports whether signature is a valid signature of the message, or digest, under
// the CMK. It uses the stored public key, not the device. A wrong signature is not an
// error. Errors: those of Sign.
func (c Client) Verify(ctx context.Context, key string, message, signature []byte, o SignOptions) (bool, error) {
	if err := o.check(message); err != nil {
		return false, c.argumentError(ctx, request{op: OpVerify, key: key}, err)
	}
	own := c.vault.copyInput(message)
	defer own.Release()
	o.SM2ID, signature = slices.Clone(o.SM2ID), inputcopy.AtMost(signature, maxSignature)
	q := request{op: OpVerify, key: key, size: len(message)}
	return useKey(ctx, c, q, func(ctx context.Context, d *decision) (valid bool, err error) {
		s, err := c.vault.prepareSignature(ctx, d.t, own.Bytes, o)
		if err != nil {
			return false, err
		}
		err = soft.Verify(s.ver.Public, s.row.device, s.input, signature)
		valid = err == nil
		d.rec.Algorithm = string(s.row.alg)
		d.rec.Detail = map[string]string{"valid": fmt.Sprint(valid)}
		if errors.Is(err, driver.Authentic) {
			return false, nil
		}
		return valid, err
	}, nil)
}

// check rejects options and messages that no key accepts.
func (o SignOptions) check(message []byte) error {
	switch o.MessageType {
	case "", Raw:
		if len(message) > MaxMessage {
			return fmt.Errorf("%w: message has %d bytes, the limit is %d; sign its digest, which every algorithm except ED25519 accepts",
				ErrTooLarge, len(message), MaxMessage)
		}
		return publickey.CheckSM2ID(o.SM2ID)
	case Digest:
		if len(message) > maxDigest {
			return invalid("digest has %d bytes, the limit is %d", len(message), maxDigest)
		}
		if len(o.SM2ID) > 0 {
			return invalid("SM2ID applies to raw messages only; a digest covers it already")
		}
	default:
		return invalid("message type %.80q is neither %s nor %s", o.MessageType, Raw, Digest)
	}
	return nil
}

// signatureInput is one signature to make or to verify.
type signatureInput struct {
	ver   storedVersion
	row   signRow
	input []byte // input of driver.Signer
}

// prepareSignature prepares a message for the primary version of a CMK.
func (v *Vault) prepareSignature(ctx context.Context, t *target, message []byte, o SignOptions) (s signatureInput, err error) {
	if s.row, err = chooseSign(t.Spec, o.Algorithm); err != nil {
		return s, err
	}
	if len(o.SM2ID) > 0 && t.Spec != SM2 {
		return s, invalid("SM2ID applies to SM2 keys only")
	}
	if s.ver, err = v.records.version(ctx, t.ID, t.Version); err != nil {
		return s, err
	}
	if s.row, err = s.ver.restrictSign(s.row, o.Algorithm); err != nil {
		return s, err
	}
	if o.MessageType != Digest {
		s.input, err = publickey.Digest(s.row.device, message, s.ver.Public, o.SM2ID)
		return s, err
	}
	if s.row.device.TakesMessage() {
		return s, invalid("%s signs messages, not digests", s.row.alg)
	}
	if want := s.row.device.DigestSize(); len(message) != want {
		return s, invalid("digest has %d bytes, %s needs %d", len(message), s.row.alg, want)
	}
	s.input = message
	return s, nil
}

// chooseSign returns the row of alg for a spec, or the spec's default if alg is empty.
func chooseSign(spec KeySpec, alg SignAlgorithm) (signRow, error) {
	for _, r := range signTable {
		if r.spec == spec && (alg == "" || r.alg == alg) {
			return r, nil
		}
	}
	return signRow{}, invalid("algorithm %.80q does not exist for spec %s", alg, spec)
}

// restrictSign returns the row with which the version signs: row, or if the caller named no
// algorithm and an imported key does not allow that of row, the first that it allows.
func (v storedVersion) restrictSign(row signRow, asked SignAlgorithm) (signRow, error) {
	switch {
	case v.signs(row.alg):
		return row, nil
	case asked == "":
		return chooseSign(row.spec, v.SignAlgorithms[0])
	}
	return row, fmt.Errorf("%w: the imported key is restricted to %s", ErrUnsupported, v.SignAlgorithms)
}

// GenerateMac returns the HMAC of a message (at most MaxMessage bytes) under the CMK, with the
// hash of the CMK's spec and as long as that. Errors: ErrTooLarge, ErrUsage, ErrKeyState,
// ErrDenied.
func (c Client) GenerateMac(ctx context.Context, key string, message []byte) ([]byte, error) {
	q := request{op: OpGenerateMac, key: key, size: len(message)}
	return useMac(ctx, c, q, message, func(d *decision, sum []byte) []byte {
		d.rec.OutputSize = uint64(len(sum))
		return sum
	})
}

// VerifyMac reports whether mac is the full HMAC of a message under the CMK. A
// wrong MAC is not an error. Errors: those of GenerateMac.
func (c Client) VerifyMac(ctx context.Context, key string, message, mac []byte) (bool, error) {
	mac = inputcopy.AtMost(mac, driver.MaxMACSize)
	q := request{op: OpVerifyMac, key: key, size: len(message)}
	return useMac(ctx, c, q, message, func(d *decision, sum []byte) bool {
		defer suite.Wipe(sum)
		valid := hmac.Equal(sum, mac)
		d.rec.Detail = map[string]string{"valid": fmt.Sprint(valid)}
		return valid
	})
}

// useMac is useKey for the HMAC of a message, from which use makes the result.
func useMac[T any](ctx context.Context, c Client, q request, message []byte, use func(d *decision, sum []byte) T) (none T, err error) {
	if len(message) > MaxMessage {
		return none, c.argumentError(ctx, q, fmt.Errorf("%w: message has %d bytes, the limit is %d", ErrTooLarge, len(message), MaxMessage))
	}
	own := c.vault.copyInput(message)
	defer own.Release()
	return useKey(ctx, c, q, func(ctx context.Context, d *decision) (none T, err error) {
		ver, err := c.vault.records.version(ctx, d.t.ID, d.t.Version)
		if err != nil {
			return none, err
		}
		d.rec.Algorithm = string(ver.Algorithm)
		sum, err := c.vault.prf(ctx, ver, nil, own.Bytes)
		if err != nil {
			return none, err
		}
		return use(d, sum), nil
	}, nil)
}

// SM2Digest returns the digest that an SM2 signature covers, SM3(Z ‖ M), for a message of
// any length (GM/T 0003.2, 5.5 and 6.1). Pass it to Sign and Verify as Digest. publicKey is
// an X.509 SubjectPublicKeyInfo in DER, as in PublicKey.DER. id is the signer's id of at
// most 8191 bytes; nil means SM2DefaultID. Errors: ErrInvalid for a key that is not on the
// SM2 curve, ErrTooLarge for a long id, and the errors of message.
func SM2Digest(publicKey, id []byte, message io.Reader) ([]byte, error) {
	return publickey.SM2Digest(publicKey, id, message)
}

// A Signer is a crypto.Signer and crypto.MessageSigner for a CMK of usage SignVerify, for
// TLS, certificates, certificate requests and tokens. Each signature is authorized and
// recorded as by Client.Sign.
//
// The random source that callers pass is not used. Sign fails with ErrUnsupported for
// options that the CMK does not support.
//
// An EC CMK signs with the hash of its spec only. TLS 1.3 asks for the right hash. For TLS
// 1.2, set tls.Certificate.SupportedSignatureAlgorithms to tls.ECDSAWithP384AndSHA384 for
// P-384, and to tls.ECDSAWithP521AndSHA512 for P-521.
type Signer struct {
	signing func(message []byte, o SignOptions) ([]byte, error)
	reject  func(cause error) error // see Client.argumentError
	key     PublicKey
	public  crypto.PublicKey
}

var (
	_ crypto.Signer        = (*Signer)(nil)
	_ crypto.MessageSigner = (*Signer)(nil)
)

// Signer returns the CMK as a crypto.Signer. Signatures use the values of ctx (request id,
// reason), but not its deadline. Errors: those of PublicKey, and ErrUsage for a key that is
// not for signing.
func (c Client) Signer(ctx context.Context, key string) (*Signer, error) {
	p, public, err := c.public(ctx, key, SignVerify)
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	sign := func(message []byte, o SignOptions) ([]byte, error) { return c.Sign(ctx, p.Key, message, o) }
	reject := func(cause error) error { return c.argumentError(ctx, request{op: OpSign, key: p.Key}, cause) }
	return &Signer{sign, reject, p, public}, nil
}

// public returns the public key of a CMK of the given usage, also parsed.
func (c Client) public(ctx context.Context, key string, usage KeyUsage) (PublicKey, crypto.PublicKey, error) {
	p, err := c.publicKey(ctx, key, usage)
	if err != nil {
		return p, nil, err
	}
	public, err := p.Parse()
	return p, public, err
}

// Public returns the public key, in the type that PublicKey.Parse returns.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// SM2SignerOptions set the signer's id for a Signer of an SM2 key. With them Sign and
// SignMessage take the message itself, as with sm2.DefaultSM2SignerOpts.
type SM2SignerOptions struct {
	// ID is the signer's id of at most 8191 bytes. Empty means SM2DefaultID.
	ID []byte
}

// HashFunc returns 0, because the caller does not hash the message.
func (*SM2SignerOptions) HashFunc() crypto.Hash { return 0 }

// id returns the id, or nil if o is nil.
func (o *SM2SignerOptions) id() []byte {
	if o == nil {
		return nil
	}
	return o.ID
}

// Sign signs a digest. For Ed25519, and for SM2 with *SM2SignerOptions or
// sm2.DefaultSM2SignerOpts, it signs the message itself, of at most MaxMessage bytes. opts
// selects the algorithm: *rsa.PSSOptions with a salt as long as the hash (PSSSaltLengthAuto
// means the same here), or otherwise the hash.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	alg, err := s.algorithm(opts)
	if err != nil {
		return nil, err
	}
	if alg == EdDSA || alg == SM2DSA && reflect.DeepEqual(opts, sm2.DefaultSM2SignerOpts) {
		return s.signing(digest, SignOptions{Algorithm: alg})
	}
	if o, ok := opts.(*SM2SignerOptions); ok {
		return s.signing(digest, SignOptions{Algorithm: alg, SM2ID: o.id()})
	}
	return s.signing(digest, SignOptions{Algorithm: alg, MessageType: Digest})
}

// SignMessage hashes and signs a message of any length (for Ed25519 at most MaxMessage
// bytes). For SM2 the signer's id is that of *SM2SignerOptions, or SM2DefaultID.
func (s *Signer) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	alg, err := s.algorithm(opts)
	if err != nil {
		return nil, err
	}
	if alg == EdDSA {
		return s.signing(message, SignOptions{Algorithm: alg})
	}
	row, err := chooseSign(s.key.Spec, alg)
	if err != nil {
		return nil, s.reject(err)
	}
	var id []byte
	if o, ok := opts.(*SM2SignerOptions); ok {
		id = o.id()
	}
	digest, err := publickey.Digest(row.device, message, s.key.DER, id)
	if err != nil {
		return nil, s.reject(err)
	}
	return s.signing(digest, SignOptions{Algorithm: alg, MessageType: Digest})
}

// algorithm returns the CMK's algorithm for the options of a caller of crypto.Signer.
func (s *Signer) algorithm(opts crypto.SignerOpts) (SignAlgorithm, error) {
	if s.signing == nil {
		return "", wrap(OpSign, "", fmt.Errorf("%w: use Client.Signer", ErrDenied))
	}
	var hash crypto.Hash
	if opts != nil {
		hash = opts.HashFunc()
	}
	for _, r := range signTable {
		if r.spec == s.key.Spec && r.fits(hash, opts) {
			return r.alg, nil
		}
	}
	return "", s.reject(fmt.Errorf("%w: %s keys sign by %s, not %s", ErrUnsupported, s.key.Spec, signAlgorithms(s.key.Spec), publickey.DescribeOptions(hash, opts)))
}

// fits reports whether the row matches hash and options.
func (r signRow) fits(hash crypto.Hash, opts crypto.SignerOpts) bool {
	if _, ok := opts.(*SM2SignerOptions); ok {
		return r.alg == SM2DSA
	}
	return publickey.Fits(r.device, hash, opts)
}
