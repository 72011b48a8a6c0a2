package suite

import (
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/sha512"
	"runtime"
	"slices"

	"filippo.io/edwards25519"
)

// An expandedSeed is the private key of Ed25519 (RFC 8032, 5.1.5). The standard library
// keeps a copy of each key that signs, in a cache that is never wiped. Therefore this
// package expands the key itself, except where Go's FIPS module is in use.
type expandedSeed struct {
	digest [sha512.Size]byte // scalar before clamping ‖ prefix
	scalar edwards25519.Scalar
	public []byte
}

// expand returns the expanded form of a seed, without the public key. The caller wipes it.
func expand(seed []byte) *expandedSeed {
	x := new(expandedSeed)
	h := sha512.New()
	defer WipeState(h)
	h.Write(seed)
	h.Sum(x.digest[:0])
	if _, err := x.scalar.SetBytesWithClamping(x.digest[:32]); err != nil {
		panic("suite: a scalar of 32 bytes is refused")
	}
	return x
}

// point returns the public key.
func (x *expandedSeed) point() []byte {
	return new(edwards25519.Point).ScalarBaseMult(&x.scalar).Bytes()
}

func (x *expandedSeed) wipe() { WipeState(x) }

// ed25519PublicKey returns the public key of a seed.
func ed25519PublicKey(seed []byte) []byte {
	if fips140.Enabled() {
		key := ed25519.NewKeyFromSeed(seed)
		defer Wipe(key)
		return slices.Clone(key[ed25519.SeedSize:])
	}
	defer clearDeepStack()
	growDeepStack(false)
	x := expand(seed)
	defer x.wipe()
	return x.point()
}

// ed25519Sign signs message (RFC 8032, 5.1.6).
func ed25519Sign(seed, message []byte) []byte {
	if fips140.Enabled() {
		key := ed25519.NewKeyFromSeed(seed)
		defer Wipe(key)
		return ed25519.Sign(key, message)
	}
	defer clearDeepStack()
	growDeepStack(false)
	x := expand(seed)
	defer x.wipe()
	x.public = x.point()
	return x.sign(message)
}

// SignEd25519 signs as ed25519.Sign does, and like it takes the public half from key
// without a check. It leaves no copy of the private key behind, except where Go's FIPS
// module is in use.
func SignEd25519(key ed25519.PrivateKey, message []byte) []byte {
	if fips140.Enabled() {
		return ed25519.Sign(key, message)
	}
	defer clearDeepStack()
	growDeepStack(false)
	x := expand(key[:ed25519.SeedSize])
	defer x.wipe()
	x.public = slices.Clone(key[ed25519.SeedSize:]) // wipe wipes it
	return x.sign(message)
}

// sign returns R ‖ S.
func (x *expandedSeed) sign(message []byte) []byte {
	var nonce, challenge edwards25519.Scalar
	defer WipeState(&nonce)
	digest := make([]byte, 0, sha512.Size)
	defer Wipe(digest[:sha512.Size])
	if _, err := nonce.SetUniformBytes(sha512Of(digest, x.digest[32:], message)); err != nil {
		panic("suite: a scalar of 64 bytes is refused")
	}
	r := new(edwards25519.Point).ScalarBaseMult(&nonce).Bytes()
	if _, err := challenge.SetUniformBytes(sha512Of(digest, r, x.public, message)); err != nil {
		panic("suite: a scalar of 64 bytes is refused")
	}
	s := new(edwards25519.Scalar).MultiplyAdd(&challenge, &x.scalar, &nonce)
	return append(r, s.Bytes()...)
}

// sha512Of appends the SHA-512 of the parts to dst, and wipes the hash state.
func sha512Of(dst []byte, parts ...[]byte) []byte {
	h := sha512.New()
	defer WipeState(h)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(dst)
}

// deepStack is the size of the stack that the curve arithmetic needs.
const deepStack = 32 << 10

// growDeepStack is growStack for the curve arithmetic.
//
//go:noinline
func growDeepStack(used bool) {
	if used {
		var space [2 * deepStack]byte
		runtime.KeepAlive(&space)
	}
}

// clearDeepStack is clearStack for the curve arithmetic.
//
//go:noinline
func clearDeepStack() {
	var space [deepStack]byte // Go zeroes it
	runtime.KeepAlive(&space)
}

// OnClearedStack runs f on a stack that does not move while f uses up to 32 KiB of it, and clears
// that part afterwards, because a stack that grows leaves a copy behind.
func OnClearedStack(f func()) {
	defer clearDeepStack()
	growDeepStack(false)
	f()
}
