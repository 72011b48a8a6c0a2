package tpm

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"math/big"
	"slices"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// A sm2Key is an SM2 key that decrypts. The TPM computes the shared point; key
// derivation and the check of the ciphertext (GM/T 0003.4) are done here.
type sm2Key struct{ key }

var _ driver.Decrypter = (*sm2Key)(nil)

const sm2Size = 32

// Decrypt decrypts with one command.
func (k *sm2Key) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	const op = "TPM2_ECDH_ZGen"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.kind.row.Decrypt, alg) {
		return nil, fault(op, driver.Unsupported, errAlg)
	}
	c, ok := parseSM2(ciphertext)
	if !ok {
		return nil, fault(op, driver.Authentic, errWrong)
	}
	shared := make([]byte, 0, 2*sm2Size)
	defer func() { suite.Wipe(shared[:cap(shared)]) }()
	err := k.run(ctx, op, func(d *device, e entity) (err error) {
		shared, err = d.sharedPoint(k, e, shared[:0], c.point)
		return err
	})
	if err != nil {
		return nil, err
	}
	out, ok := c.open(dst, shared)
	if !ok {
		return nil, fault(op, driver.Authentic, errWrong)
	}
	return out, nil
}

// A sm2Ciphertext is C1, C3 and C2 of GM/T 0009.
type sm2Ciphertext struct {
	point      []byte // x ‖ y
	hash, body []byte
}

// parseSM2 reads a ciphertext in DER, exactly. A point that is not on the curve is
// refused here: not every TPM looks.
func parseSM2(der []byte) (c sm2Ciphertext, ok bool) {
	var inner cryptobyte.String
	x, y := new(big.Int), new(big.Int)
	outer := cryptobyte.String(der)
	if !outer.ReadASN1(&inner, asn1.SEQUENCE) || !outer.Empty() ||
		!inner.ReadASN1Integer(x) || !inner.ReadASN1Integer(y) ||
		!inner.ReadASN1Bytes(&c.hash, asn1.OCTET_STRING) ||
		!inner.ReadASN1Bytes(&c.body, asn1.OCTET_STRING) || !inner.Empty() {
		return c, false
	}
	if x.Sign() < 0 || y.Sign() < 0 || x.BitLen() > 8*sm2Size || y.BitLen() > 8*sm2Size || len(c.hash) != sm3.Size || len(c.body) == 0 {
		return c, false
	}
	encoded := make([]byte, 1+2*sm2Size)
	encoded[0] = 4
	x.FillBytes(encoded[1 : 1+sm2Size])
	y.FillBytes(encoded[1+sm2Size:])
	c.point = encoded[1:]
	_, err := sm2.NewPublicKey(encoded)
	return c, err == nil
}

// open appends the plaintext, if C3 is right.
func (c sm2Ciphertext) open(dst, shared []byte) ([]byte, bool) {
	mask := sm3.Kdf(shared, len(c.body))
	defer suite.Wipe(mask)
	if bytes.Count(mask, []byte{0}) == len(mask) {
		return nil, false
	}
	subtle.XORBytes(mask, mask, c.body)
	h := suite.SM.Hash(shared[:sm2Size], mask, shared[sm2Size:])
	if subtle.ConstantTimeCompare(h[:], c.hash) != 1 {
		return nil, false
	}
	return append(dst, mask...), true
}

// sharedPoint appends x ‖ y of the key times a point.
func (d *device) sharedPoint(k *sm2Key, e entity, dst, point []byte) ([]byte, error) {
	inner := appendSized(appendSized(nil, point[:sm2Size]), point[sm2Size:])
	rsp, err := d.execute(command{
		code:    tpm2.TPMCCECDHZGen,
		handles: []entity{e},
		params:  appendSized(nil, inner),
		session: d.session,
		auth:    k.res.auth.Bytes(),
		in:      true,
		out:     true,
	})
	if err != nil {
		return nil, d.wrongCiphertext("TPM2_ECDH_ZGen", err)
	}
	defer suite.Wipe(rsp.params)
	r := reader{rest: rsp.params}
	z := reader{rest: r.sized()}
	x, y := z.sized(), z.sized()
	if r.done() != nil || z.done() != nil || len(x) > sm2Size || len(y) > sm2Size {
		return nil, errResponse
	}
	for _, n := range [][]byte{x, y} {
		dst = append(dst, make([]byte, sm2Size-len(n))...)
		dst = append(dst, n...)
	}
	return dst, nil
}

// probeSM2 tries whether the TPM signs for SM2, and under which hash. Chips that know
// SM3 want its name; others take its digest as that of SHA-256. What a signature is
// worth is found by verifying it.
func (d *device) probeSM2(p profile) (tpm2.TPMAlgID, error) {
	if !p.curves[tpm2.TPMECCSM2P256] || !p.algs[tpm2.TPMAlgSM2] || !suite.SM.Usable() {
		return 0, nil
	}
	auth := newAuth()
	k := kind{signer(driver.SM2, driver.SM2DSA), tpm2.TPMECCSM2P256}
	made, err := d.create(k.area(keyName{}.binding(auth)), secret{auth: auth})
	if err != nil {
		return 0, refused(err)
	}
	r := &resident{public: made.public, private: made.private}
	if r.handle, err = d.load(r); err != nil {
		return 0, refused(err)
	}
	defer d.flush(r.handle)
	area, err := parseArea(made.public)
	if err != nil {
		return 0, err
	}
	for _, hash := range []tpm2.TPMAlgID{tpm2.TPMAlgSM3256, tpm2.TPMAlgSHA256} {
		if !p.algs[hash] {
			continue
		}
		digest := suite.SM.Hash(binary.BigEndian.AppendUint16(nil, uint16(hash)))
		signature, err := d.sign(r.entity(), auth, digest[:], scheme{tpm2.TPMAlgSM2, hash})
		if err == nil && verifiesSM2(area, digest[:], signature) {
			return hash, nil
		}
		if err := refused(err); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// refused drops the error of a TPM that does not want to; others stay, and so does that of
// one that does not take an authorization, which has nothing to do with SM2.
func refused(err error) error {
	if code := codeOf(err); code != 0 && remedyOf(code) == surface && !refusal(code) {
		return nil
	}
	return err
}

func verifiesSM2(area *tpm2.TPMTPublic, digest, signature []byte) bool {
	der, err := pointDER(area)
	if err != nil {
		return false
	}
	key, err := parseSM2Public(der)
	return err == nil && sm2.VerifyASN1(key, digest, signature)
}
