package vaulttest

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
)

// act is one operation on a CMK of one usage.
type act struct {
	op     vault.Operation
	usage  vault.KeyUsage
	method drivertest.Method // the device method that it calls; "" for none
	named  bool              // the call names a key id; otherwise the ciphertext names the key
	run    func(ctx context.Context, c vault.Client, m sample) error
}

// acts lists a call for every operation that uses a key.
func acts() []act {
	return []act{
		{vault.OpEncrypt, vault.EncryptDecrypt, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m sample) error {
			_, err := c.Encrypt(ctx, m.key.ID, []byte(message), purpose())
			return err
		}},
		{vault.OpDecrypt, vault.EncryptDecrypt, drivertest.MethodPRF, false, func(ctx context.Context, c vault.Client, m sample) error {
			got, err := c.Decrypt(ctx, m.ct, purpose())
			return same(got, err)
		}},
		{vault.OpReEncryptFrom, vault.EncryptDecrypt, drivertest.MethodPRF, false, func(ctx context.Context, c vault.Client, m sample) error {
			_, err := c.ReEncrypt(ctx, m.ct, "", purpose(), nil)
			return err
		}},
		{vault.OpGenerateDataKey, vault.EncryptDecrypt, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m sample) error {
			dk, err := c.GenerateDataKey(ctx, m.key.ID, 32, purpose())
			dk.Destroy()
			return err
		}},
		{vault.OpGenerateDataKeyWithoutPlaintext, vault.EncryptDecrypt, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m sample) error {
			_, err := c.GenerateDataKeyWithoutPlaintext(ctx, m.key.ID, 32, purpose())
			return err
		}},
		{vault.OpOpenDataKey, vault.EncryptDecrypt, drivertest.MethodPRF, false, func(ctx context.Context, c vault.Client, m sample) error {
			dk, err := c.OpenDataKey(ctx, m.dataKey, purpose())
			if err == nil {
				dk.Destroy()
			}
			return err
		}},
		{vault.OpGenerateMac, vault.GenerateVerifyMac, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m sample) error {
			_, err := c.GenerateMac(ctx, m.key.ID, []byte(message))
			return err
		}},
		{vault.OpVerifyMac, vault.GenerateVerifyMac, drivertest.MethodPRF, true, func(ctx context.Context, c vault.Client, m sample) error {
			return valid(c.VerifyMac(ctx, m.key.ID, []byte(message), m.mac))
		}},
		{vault.OpSign, vault.SignVerify, drivertest.MethodSign, true, func(ctx context.Context, c vault.Client, m sample) error {
			_, err := c.Sign(ctx, m.key.ID, []byte(message), m.sign)
			return err
		}},
		{vault.OpVerify, vault.SignVerify, "", true, func(ctx context.Context, c vault.Client, m sample) error {
			return valid(c.Verify(ctx, m.key.ID, []byte(message), m.signature, m.sign))
		}},
		{vault.OpPublicKey, vault.SignVerify, "", true, func(ctx context.Context, c vault.Client, m sample) error {
			_, err := c.PublicKey(ctx, m.key.ID)
			return err
		}},
		{vault.OpAsymmetricDecrypt, vault.AsymmetricDecrypt, drivertest.MethodDecrypt, true, func(ctx context.Context, c vault.Client, m sample) error {
			got, err := c.AsymmetricDecrypt(ctx, m.key.ID, m.encrypted, m.decrypt)
			return same(got, err)
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
