package tpm

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/emmansun/gmsm/sm2"
	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/sm2ciphertext"
	"strongroom.example/internal/suite"
)

// A sm2Key is an open SM2 key of usage Decrypt. The TPM computes the shared point; this
// package derives the key and verifies the ciphertext (GM/T 0003.4).
type sm2Key struct{ key }

var _ driver.Decrypter = (*sm2Key)(nil)

const sm2Size = sm2ciphertext.FieldSize

// Decrypt decrypts in one command.
func (k *sm2Key) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	const op = "TPM2_ECDH_ZGen"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.kind.row.Decrypt, alg) {
		return nil, fault(op, driver.Unsupported, errAlg)
	}
	c, ok := sm2ciphertext.Parse(ciphertext)
	if !ok {
		return nil, fault(op, driver.Authentic, errWrong)
	}
	shared := make([]byte, 0, 2*sm2Size)
	defer func() { suite.Wipe(shared[:cap(shared)]) }()
	err := k.run(ctx, op, func(d *device, e entity) (err error) {
		shared, err = d.sharedPoint(k, e, shared[:0], c.Point)
		return err
	})
	if err != nil {
		return nil, err
	}
	out, ok := c.Open(dst, shared)
	if !ok {
		return nil, fault(op, driver.Authentic, errWrong)
	}
	return out, nil
}

// sharedPoint appends x ‖ y of the private key times point.
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

// probeSM2 determines whether the TPM signs with SM2, and under which hash algorithm.
// Chips that support SM3 require its identifier; others accept an SM3 digest as one of
// SHA-256. probeSM2 accepts a hash only if the signature verifies.
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

// refused returns nil for the error of a TPM that does not support SM2, and err
// otherwise. It returns err for a refused authorization too, which is unrelated to SM2.
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
