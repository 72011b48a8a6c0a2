//go:build unix

package vault

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom.example/audit"
)

// TestReserve: below MinFree the vault opens, reads, verifies, decrypts, disables and
// deletes, and makes nothing. Below the reserve it does not open, and with room again
// nothing is lost.
func TestReserve(t *testing.T) {
	v, dir := newTestVault(t, Config{MinFree: 1})
	c, ctx := v.As(DefaultOwner), t.Context()
	key := mustKey(t, c, KeyOptions{Alias: "sealing"}).ID
	gone := mustKey(t, c, KeyOptions{Alias: "gone", Tags: map[string]string{"a": "b"}}).ID
	signing := mustKey(t, c, KeyOptions{Spec: ECCP256, Usage: SignVerify}).ID
	macs := mustKey(t, c, KeyOptions{Spec: HMAC256, Usage: GenerateVerifyMac}).ID
	ct, err := c.Encrypt(ctx, key, []byte("plain"), nil)
	must(t, err)
	dk, err := c.GenerateDataKeyWithoutPlaintext(ctx, key, 32, nil)
	must(t, err)
	sig, err := c.Sign(ctx, signing, []byte("message"), SignOptions{})
	must(t, err)
	mac, err := c.GenerateMac(ctx, macs, []byte("message"))
	must(t, err)
	closeChecked(t, v)

	var disk unix.Statfs_t
	must(t, unix.Statfs(dir, &disk))
	cfg := Config{MinFree: 2 * uint64(disk.Bavail) * uint64(disk.Bsize)}
	v, err = Open(ctx, dir, cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatalf("Open below MinFree: %v, want nil", err)
	}
	c = v.As(DefaultOwner)
	does := map[string]func() error{
		"Decrypt": func() error { _, err := c.Decrypt(ctx, ct, nil); return err },
		"OpenDataKey": func() error {
			k, err := c.OpenDataKey(ctx, dk, nil)
			if err == nil {
				k.Destroy()
			}
			return err
		},
		"Verify":      func() error { return isTrue(c.Verify(ctx, signing, []byte("message"), sig, SignOptions{})) },
		"VerifyMac":   func() error { return isTrue(c.VerifyMac(ctx, macs, []byte("message"), mac)) },
		"PublicKey":   func() error { _, err := c.PublicKey(ctx, signing); return err },
		"DescribeKey": func() error { _, err := c.DescribeKey(ctx, key); return err },
		"ListKeys": func() error {
			for _, err := range c.ListKeys(ctx, KeyFilter{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"ListKeyVersions": func() error { _, err := c.ListKeyVersions(ctx, key); return err },
		"ListProtectors":  func() error { _, err := c.ListProtectors(ctx); return err },
		"AuditRecords": func() error {
			for _, err := range c.AuditRecords(ctx, audit.Filter{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Check":       func() error { return c.Check(ctx) },
		"UntagKey":    func() error { return c.UntagKey(ctx, gone, "a") },
		"DeleteAlias": func() error { return c.DeleteAlias(ctx, gone) },
		"DisableKeys": func() error { return c.DisableKeys(ctx, gone) },
	}
	for name, call := range does {
		if err := call(); err != nil {
			t.Errorf("%s below MinFree returned %v, want nil", name, err)
		}
	}
	for name, call := range map[string]func() error{
		"Encrypt":         func() error { _, err := c.Encrypt(ctx, key, []byte("plain"), nil); return err },
		"ReEncrypt":       func() error { _, err := c.ReEncrypt(ctx, ct, key, nil, nil); return err },
		"CreateKey":       func() error { _, err := c.CreateKey(ctx, KeyOptions{}); return err },
		"RotateKey":       func() error { _, err := c.RotateKey(ctx, key); return err },
		"GenerateDataKey": func() error { _, err := c.GenerateDataKey(ctx, key, 32, nil); return err },
		"GenerateRandom":  func() error { _, err := c.GenerateRandom(ctx, 32); return err },
		"Sign":            func() error { _, err := c.Sign(ctx, signing, []byte("message"), SignOptions{}); return err },
		"GenerateMac":     func() error { _, err := c.GenerateMac(ctx, macs, []byte("message")); return err },
		"SetAlias":        func() error { return c.SetAlias(ctx, gone, "other") },
	} {
		if err := call(); !errors.Is(err, ErrStorageFull) {
			t.Errorf("%s below MinFree returned %v, want ErrStorageFull", name, err)
		}
	}
	closeChecked(t, v)

	cfg.MinFree = 1 << 62
	_, err = Open(ctx, dir, cfg, passphrase(t, "correct horse"))
	if !errors.Is(err, ErrStorageFull) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "Config.MinFree") {
		t.Errorf("Open below the reserve returned %v, want ErrStorageFull with the path and the remedy", err)
	}
	v, err = Open(ctx, dir, Config{MinFree: 1}, passphrase(t, "correct horse"))
	must(t, err)
	if plain, err := v.As(DefaultOwner).Decrypt(ctx, ct, nil); err != nil || string(plain) != "plain" {
		t.Errorf("Decrypt with room again returned %q, %v", plain, err)
	}
	closeChecked(t, v)
}

// isTrue returns an error unless a verification succeeded and reported true.
func isTrue(ok bool, err error) error {
	if err == nil && !ok {
		return errors.New("it reported false")
	}
	return err
}
