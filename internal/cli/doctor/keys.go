package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// triedKeys is how many keys of each device are tried, because each needs an operation of the
// device, or two if it was rotated.
const triedKeys = 100

// trial is what a signing key signs when it is tried, so that the signature is good for
// nothing else.
const trial = "strongroom doctor tries whether the device has this key"

// versionOffset is the offset of the version in a ciphertext (docs/formats.md).
const versionOffset = 22

// deviceKeys tries the keys of the session's devices, because a device whose key is missing,
// or that is another device, opens like the right one.
func deviceKeys(ctx context.Context, s *session.Session) (list []Finding) {
	ctx = vault.WithReason(ctx, "strongroom doctor")
	tried, good, left := make(map[string]int), make(map[string]int), make(map[string]int)
	for k, err := range s.Client().ListKeys(ctx, vault.KeyFilter{State: vault.Enabled}) {
		if err != nil {
			return append(list, Finding{Fail, "device keys", err.Error(), "see the error"})
		}
		if s.Device(k.Driver) == nil {
			continue
		}
		if tried[k.Driver] >= triedKeys {
			left[k.Driver]++
			continue
		}
		tried[k.Driver]++
		switch err := try(ctx, s.Client(), k); {
		case err == nil:
			good[k.Driver]++
		case errors.Is(err, vault.ErrDenied):
			left[k.Driver]++
		default:
			list = append(list, unusable(k, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(good)) {
		list = append(list, Finding{OK, "device keys", fmt.Sprintf("%d enabled keys in device %s work", good[name], name), ""})
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		list = append(list, Finding{Note, "device keys", fmt.Sprintf("%d enabled keys in device %s were not tried", left[name], name),
			fmt.Sprintf("doctor tries %d keys, and those that the policies allow the owner to use", triedKeys)})
	}
	return list
}

// unusable returns the finding of a key whose device did not do its operation.
func unusable(k vault.Key, err error) Finding {
	name := k.ID
	if k.Alias != "" {
		name = k.Alias
	}
	remedy := "make the device available, and see its findings above; a key that is gone from the device is lost, unless its material can be imported again"
	switch {
	case errors.Is(err, vault.ErrWrongDevice):
		remedy = "connect the device in which the key was made; if that is lost, so is the key: docs/recovery.md says how to replace it"
	case errors.Is(err, vault.ErrKeyReplaced):
		remedy = "stop using the key, and find out who can write to the device"
	}
	return Finding{Fail, "device keys", fmt.Sprintf("%s in device %s cannot be used: %v", name, k.Driver, err), remedy}
}

// try does an operation of a key's usage, and discards the result. A key that was rotated is tried
// in its newest and in its oldest version, because each is an object of its own in the device.
func try(ctx context.Context, c vault.Client, k vault.Key) (err error) {
	switch k.Usage {
	case vault.EncryptDecrypt:
		var ct []byte
		if ct, err = c.Encrypt(ctx, k.ID, []byte(trial), nil); err == nil {
			err = tryOldest(ctx, c, k, ct)
		}
	case vault.SignVerify:
		_, err = c.Sign(ctx, k.ID, []byte(trial), vault.SignOptions{})
	case vault.GenerateVerifyMac:
		_, err = c.GenerateMac(ctx, k.ID, []byte(trial))
	case vault.AsymmetricDecrypt:
		alg := vault.RSAESOAEPSHA256
		if k.Spec == vault.SM2 {
			alg = vault.SM2C1C3C2
		}
		var ct []byte
		if ct, err = c.AsymmetricEncrypt(ctx, k.ID, []byte(trial), alg); err == nil {
			_, err = c.AsymmetricDecrypt(ctx, k.ID, ct, alg)
		}
	}
	return err
}

// tryOldest makes the device compute with the oldest version of a key that decrypts, if the policies
// allow it. ct is a ciphertext of the newest version. With the number of the oldest one it makes the
// device compute and then does not open, so that ErrCiphertext says that the device has the version.
func tryOldest(ctx context.Context, c vault.Client, k vault.Key, ct []byte) error {
	n, err := oldest(ctx, c, k)
	if err == nil && n < k.Version {
		binary.BigEndian.PutUint32(ct[versionOffset:], n)
		_, err = c.Decrypt(ctx, ct, nil)
	}
	if err == nil || errors.Is(err, vault.ErrCiphertext) || errors.Is(err, vault.ErrMinimumVersion) || errors.Is(err, vault.ErrDenied) {
		return nil
	}
	return fmt.Errorf("version %d of %d: %w", n, k.Version, err)
}

// oldest returns the number of the oldest version of a key that decrypts and is in the same device
// as the newest.
func oldest(ctx context.Context, c vault.Client, k vault.Key) (uint32, error) {
	if k.Version <= max(k.MinVersion, 1) {
		return k.Version, nil
	}
	versions, err := c.ListKeyVersions(ctx, k.ID)
	for _, v := range versions {
		if v.Number >= k.MinVersion && v.Trimmed.IsZero() && v.Driver == k.Driver {
			return v.Number, nil
		}
	}
	return k.Version, err
}
