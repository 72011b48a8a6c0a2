package vaultsuite

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
)

// act is one operation on a CMK of one usage.
type act struct {
	op     vault.Operation
	usage  vault.KeyUsage
	method drivertest.Method // the device method that it calls; "" for none
	named  bool              // the call names a key id; otherwise the ciphertext names the key
	run    func(ctx context.Context, c vault.Client, m keySample) error
}

// acts lists a call for every operation that uses a key.
func acts() []act {
	return []act{
		{vault.OpEncrypt, vault.EncryptDecrypt, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m keySample) error {
			_, err := c.Encrypt(ctx, m.key.ID, []byte(message), purpose())
			return err
		}},
		{vault.OpDecrypt, vault.EncryptDecrypt, drivertest.MethodPRF, false, func(ctx context.Context, c vault.Client, m keySample) error {
			got, err := c.Decrypt(ctx, m.ct, purpose())
			return same(got, err)
		}},
		{vault.OpReEncryptFrom, vault.EncryptDecrypt, drivertest.MethodPRF, false, func(ctx context.Context, c vault.Client, m keySample) error {
			_, err := c.ReEncrypt(ctx, m.ct, "", purpose(), nil)
			return err
		}},
		{vault.OpGenerateDataKey, vault.EncryptDecrypt, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m keySample) error {
			dk, err := c.GenerateDataKey(ctx, m.key.ID, 32, purpose())
			dk.Destroy()
			return err
		}},
		{vault.OpGenerateDataKeyWithoutPlaintext, vault.EncryptDecrypt, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m keySample) error {
			_, err := c.GenerateDataKeyWithoutPlaintext(ctx, m.key.ID, 32, purpose())
			return err
		}},
		{vault.OpGenerateDataKeyPair, vault.EncryptDecrypt, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m keySample) error {
			_, err := c.GenerateDataKeyPair(ctx, m.key.ID, vault.ECCP256, purpose())
			return err
		}},
		{vault.OpGenerateDataKeyPairWithoutPlaintext, vault.EncryptDecrypt, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m keySample) error {
			_, err := c.GenerateDataKeyPairWithoutPlaintext(ctx, m.key.ID, vault.ECCP256, purpose())
			return err
		}},
		{vault.OpOpenDataKey, vault.EncryptDecrypt, drivertest.MethodPRF, false, func(ctx context.Context, c vault.Client, m keySample) error {
			dk, err := c.OpenDataKey(ctx, m.dataKey, purpose())
			if err == nil {
				dk.Destroy()
			}
			return err
		}},
		{vault.OpGenerateMac, vault.GenerateVerifyMac, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m keySample) error {
			_, err := c.GenerateMac(ctx, m.key.ID, []byte(message))
			return err
		}},
		{vault.OpVerifyMac, vault.GenerateVerifyMac, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m keySample) error {
			return valid(c.VerifyMac(ctx, m.key.ID, []byte(message), m.mac))
		}},
		{vault.OpSign, vault.SignVerify, drivertest.MethodSign, true, func(ctx context.Context, c vault.Client, m keySample) error {
			_, err := c.Sign(ctx, m.key.ID, []byte(message), m.sign)
			return err
		}},
		{vault.OpVerify, vault.SignVerify, "", true, func(ctx context.Context, c vault.Client, m keySample) error {
			return valid(c.Verify(ctx, m.key.ID, []byte(message), m.signature, m.sign))
		}},
		{vault.OpPublicKey, vault.SignVerify, "", true, func(ctx context.Context, c vault.Client, m keySample) error {
			_, err := c.PublicKey(ctx, m.key.ID)
			return err
		}},
		{vault.OpAsymmetricDecrypt, vault.AsymmetricDecrypt, drivertest.MethodDecrypt, true, func(ctx context.Context, c vault.Client, m keySample) error {
			got, err := c.AsymmetricDecrypt(ctx, m.key.ID, m.encrypted, m.decrypt)
			return same(got, err)
		}},
		{vault.OpAsymmetricEncrypt, vault.AsymmetricDecrypt, "", true, func(ctx context.Context, c vault.Client, m keySample) error {
			_, err := c.AsymmetricEncrypt(ctx, m.key.ID, []byte(message), "")
			return err
		}},
	}
}

// actsOf returns the acts for one usage.
func actsOf(u vault.KeyUsage) (out []act) {
	for _, a := range acts() {
		if a.usage == u {
			out = append(out, a)
		}
	}
	return out
}

// same returns err, or an error if got is not the message.
func same(got []byte, err error) error {
	if err == nil && string(got) != message {
		return fmt.Errorf("decrypted to %q", got)
	}
	return err
}

// valid returns err, or an error if ok is false.
func valid(ok bool, err error) error {
	if err == nil && !ok {
		return errors.New("not valid")
	}
	return err
}

// message is the text that the checks encrypt and sign.
const message = "pay 4711 to the bearer"

// purpose returns an encryption context. Its value must never appear in the audit log.
func purpose() vault.EncryptionContext {
	return vault.EncryptionContext{"tenant": "acme-and-sons", "b": "1"}
}

// keySample is a key with the inputs for its operations.
type keySample struct {
	row
	key       vault.Key
	ct        []byte // from Encrypt, under purpose
	dataKey   []byte // from GenerateDataKeyWithoutPlaintext, under purpose
	encrypted []byte // encrypted to the public key, outside the vault
	signature []byte
	mac       []byte
	sign      vault.SignOptions
	decrypt   vault.EncryptionAlgorithm
}

// sample returns a sample for the shared key of a row in x.
func (s *subject) sample(t *testing.T, x *home, r row) keySample {
	t.Helper()
	return s.sampleOf(t, x, r, x.key(t, r))
}

// sampleOf returns a sample for a key of a row.
func (s *subject) sampleOf(t *testing.T, x *home, r row, k vault.Key) keySample {
	t.Helper()
	ctx, c := t.Context(), x.owner()
	m := keySample{row: r, key: k}
	var err, errDataKey error
	switch r.usage {
	case vault.EncryptDecrypt:
		m.ct, err = c.Encrypt(ctx, m.key.ID, []byte(message), purpose())
		m.dataKey, errDataKey = c.GenerateDataKeyWithoutPlaintext(ctx, m.key.ID, 32, purpose())
	case vault.GenerateVerifyMac:
		m.mac, err = c.GenerateMac(ctx, m.key.ID, []byte(message))
	case vault.SignVerify:
		m.sign.Algorithm = s.firstSigning(t, r)
		m.signature, err = c.Sign(ctx, m.key.ID, []byte(message), m.sign)
	case vault.AsymmetricDecrypt:
		m.decrypt = s.firstDecrypting(t, r)
		m.encrypted = encryptTo(t, m.decrypt, parse(t, x.publicOf(t, k.ID)), []byte(message))
	}
	if err = errors.Join(err, errDataKey); err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *subject) firstSigning(t *testing.T, r row) vault.SignAlgorithm {
	t.Helper()
	for _, x := range s.signings() {
		if x.row == r && x.can {
			return x.alg
		}
	}
	t.Fatalf("%s has no algorithm", r)
	return ""
}

func (s *subject) firstDecrypting(t *testing.T, r row) vault.EncryptionAlgorithm {
	t.Helper()
	for _, x := range s.decryptings() {
		if x.row == r && x.can {
			return x.alg
		}
	}
	t.Fatalf("%s has no algorithm", r)
	return ""
}
