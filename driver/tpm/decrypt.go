package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/sm2ciphertext"
	"strongroom.example/internal/suite"
)

// An rsaKey is an open RSA key of usage Decrypt.
type rsaKey struct {
	key
	area *tpm2.TPMTPublic
}

var _ driver.Decrypter = (*rsaKey)(nil)

// Decrypt decrypts in one command. Every wrong ciphertext is the same Authentic error.
func (k *rsaKey) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	const op = "TPM2_RSA_Decrypt"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.kind.Row.Decrypt, alg) {
		return nil, fault(op, driver.Unsupported, errAlg)
	}
	n, err := k.area.Unique.RSA()
	if err != nil {
		return nil, fault(op, driver.Unknown, err)
	}
	if len(ciphertext) != len(n.Buffer) || bytes.Compare(ciphertext, n.Buffer) >= 0 {
		return nil, fault(op, driver.Authentic, errWrong)
	}
	var out []byte
	err = k.do(ctx, op, func(d *device, e wire.Entity) (err error) {
		out, err = d.rsaDecrypt(k, e, unwrapping{dst, alg, ciphertext})
		return err
	})
	return out, err
}

// An unwrapping is the input of one Decrypt.
type unwrapping struct {
	dst        []byte
	alg        driver.EncryptAlg
	ciphertext []byte
}

func (d *device) rsaDecrypt(k *rsaKey, e wire.Entity, u unwrapping) ([]byte, error) {
	params := wire.AppendSized(make([]byte, 0, 272), u.ciphertext)
	switch u.alg {
	case driver.RSARaw:
		params = binary.BigEndian.AppendUint16(params, uint16(tpm2.TPMAlgNull))
	case driver.RSAOAEPSHA1:
		params = binary.BigEndian.AppendUint16(params, uint16(tpm2.TPMAlgOAEP))
		params = binary.BigEndian.AppendUint16(params, uint16(tpm2.TPMAlgSHA1))
	default:
		params = binary.BigEndian.AppendUint16(params, uint16(tpm2.TPMAlgOAEP))
		params = binary.BigEndian.AppendUint16(params, uint16(tpm2.TPMAlgSHA256))
	}
	rsp, err := d.execute(wire.Command{
		Code:       tpm2.TPMCCRSADecrypt,
		Handles:    []wire.Entity{e},
		Params:     wire.AppendSized(params, nil),
		Session:    d.session,
		Auth:       k.res.auth.Bytes(),
		EncryptIn:  true,
		EncryptOut: true,
	})
	if err != nil {
		return nil, d.wrongCiphertext("TPM2_RSA_Decrypt", err)
	}
	defer suite.Wipe(rsp.Params)
	r := wire.Reader{Rest: rsp.Params}
	plaintext := r.Sized()
	if r.Done() != nil {
		return nil, wire.ErrResponse
	}
	if u.alg == driver.RSARaw {
		if len(plaintext) > len(u.ciphertext) {
			return nil, wire.ErrResponse
		}
		u.dst = append(u.dst, make([]byte, len(u.ciphertext)-len(plaintext))...)
	}
	return append(u.dst, plaintext...), nil
}

// wrongCiphertext classifies the error of a decryption. Some TPMs report TPM_RC_FAILURE
// for a wrong padding; the result of the last self-test shows whether the TPM has really
// failed.
func (d *device) wrongCiphertext(op string, err error) error {
	const format1 = 0x80
	code := wire.CodeOf(err)
	switch {
	case code&format1 != 0 && wire.ActionOf(code) == wire.Report && classOf(code) != driver.Denied:
	case code == tpm2.TPMRCFailure && d.healthy():
	default:
		return err
	}
	return fault(op, driver.Authentic, errWrong)
}

// healthy reports whether the TPM passed its last self-test.
func (d *device) healthy() bool {
	rsp, err := d.execute(wire.Command{Code: tpm2.TPMCCGetTestResult})
	if err != nil {
		return false
	}
	r := wire.Reader{Rest: rsp.Params}
	r.Sized()
	return tpm2.TPMRC(r.U32()) == tpm2.TPMRCSuccess && r.Done() == nil
}

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
	if !slices.Contains(k.kind.Row.Decrypt, alg) {
		return nil, fault(op, driver.Unsupported, errAlg)
	}
	c, ok := sm2ciphertext.Parse(ciphertext)
	if !ok {
		return nil, fault(op, driver.Authentic, errWrong)
	}
	shared := suite.NewSecret(2 * sm2Size)[:0]
	defer func() { suite.Wipe(shared[:cap(shared)]) }()
	err := k.do(ctx, op, func(d *device, e wire.Entity) (err error) {
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
func (d *device) sharedPoint(k *sm2Key, e wire.Entity, dst, point []byte) ([]byte, error) {
	inner := wire.AppendSized(wire.AppendSized(nil, point[:sm2Size]), point[sm2Size:])
	rsp, err := d.execute(wire.Command{
		Code:       tpm2.TPMCCECDHZGen,
		Handles:    []wire.Entity{e},
		Params:     wire.AppendSized(nil, inner),
		Session:    d.session,
		Auth:       k.res.auth.Bytes(),
		EncryptIn:  true,
		EncryptOut: true,
	})
	if err != nil {
		return nil, d.wrongCiphertext("TPM2_ECDH_ZGen", err)
	}
	defer suite.Wipe(rsp.Params)
	r := wire.Reader{Rest: rsp.Params}
	z := wire.Reader{Rest: r.Sized()}
	x, y := z.Sized(), z.Sized()
	if r.Done() != nil || z.Done() != nil || len(x) > sm2Size || len(y) > sm2Size {
		return nil, wire.ErrResponse
	}
	for _, n := range [][]byte{x, y} {
		dst = append(dst, make([]byte, sm2Size-len(n))...)
		dst = append(dst, n...)
	}
	return dst, nil
}
