package vault

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"io"
	"reflect"

	"github.com/emmansun/gmsm/sm2"
)

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
	reject  func(cause error) error // see Client.reject
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
	reject := func(cause error) error { return c.reject(ctx, request{op: OpSign, key: p.Key}, cause) }
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
	digest, err := row.digest(message, s.key.DER, id)
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
	return "", s.reject(fmt.Errorf("%w: %s signs by %s, and not %s", ErrUnsupported, s.key.Spec, signAlgorithms(s.key.Spec), describe(hash, opts)))
}

// describe formats the options of a caller of crypto.Signer for an error.
func describe(hash crypto.Hash, opts crypto.SignerOpts) string {
	name := "without a hash"
	if hash != 0 {
		name = "over " + hash.String()
	}
	switch o := opts.(type) {
	case nil, crypto.Hash:
		return name
	case *rsa.PSSOptions:
		return fmt.Sprintf("by PSS %s with SaltLength %d", name, o.SaltLength)
	}
	return fmt.Sprintf("%s with options %T", name, opts)
}

// fits reports whether the row matches hash and options.
func (r signRow) fits(hash crypto.Hash, opts crypto.SignerOpts) bool {
	switch o := opts.(type) {
	case *rsa.PSSOptions:
		salt := o.SaltLength == rsa.PSSSaltLengthEqualsHash || o.SaltLength == rsa.PSSSaltLengthAuto || o.SaltLength == r.device.DigestSize()
		return r.device.IsPSS() && hash == r.device.Hash() && salt
	case *SM2SignerOptions:
		return r.alg == SM2DSA
	case *sm2.SM2SignerOption:
		// gmsm does not export the id, so only the default id can be recognised.
		plain := reflect.DeepEqual(o, sm2.DefaultSM2SignerOpts) || reflect.DeepEqual(o, sm2.NewSM2SignerOption(false, nil))
		return r.alg == SM2DSA && plain
	case *ed25519.Options:
		return r.alg == EdDSA && hash == 0 && o.Context == ""
	}
	return !r.device.IsPSS() && hash == r.device.Hash()
}
