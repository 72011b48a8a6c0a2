package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
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
	if !slices.Contains(k.kind.row.Decrypt, alg) {
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
	err = k.run(ctx, op, func(d *device, e entity) (err error) {
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

func (d *device) rsaDecrypt(k *rsaKey, e entity, u unwrapping) ([]byte, error) {
	params := appendSized(make([]byte, 0, 272), u.ciphertext)
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
	rsp, err := d.execute(command{
		code:    tpm2.TPMCCRSADecrypt,
		handles: []entity{e},
		params:  appendSized(params, nil),
		session: d.session,
		auth:    k.res.auth.Bytes(),
		in:      true,
		out:     true,
	})
	if err != nil {
		return nil, d.wrongCiphertext("TPM2_RSA_Decrypt", err)
	}
	defer suite.Wipe(rsp.params)
	r := reader{rest: rsp.params}
	plaintext := r.sized()
	if r.done() != nil {
		return nil, errResponse
	}
	if u.alg == driver.RSARaw {
		if len(plaintext) > len(u.ciphertext) {
			return nil, errResponse
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
	code := codeOf(err)
	switch {
	case code&format1 != 0 && remedyOf(code) == surface && classOf(code) != driver.Denied:
	case code == tpm2.TPMRCFailure && d.healthy():
	default:
		return err
	}
	return fault(op, driver.Authentic, errWrong)
}

// healthy reports whether the TPM passed its last self-test.
func (d *device) healthy() bool {
	rsp, err := d.execute(command{code: tpm2.TPMCCGetTestResult})
	if err != nil {
		return false
	}
	r := reader{rest: rsp.params}
	r.sized()
	return tpm2.TPMRC(r.u32()) == tpm2.TPMRCSuccess && r.done() == nil
}
