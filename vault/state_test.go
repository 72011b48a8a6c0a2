package vault

import (
	"context"
	"errors"
	"testing"

	"strongroom.example/keystore"
)

// acts has one call for each operation on a CMK, so that each row of the state
// table is run.
func acts(ct []byte) map[Operation]func(context.Context, Client, string) error {
	return map[Operation]func(context.Context, Client, string) error{
		OpDescribeKey:     func(ctx context.Context, c Client, k string) error { _, err := c.DescribeKey(ctx, k); return err },
		OpListKeyVersions: func(ctx context.Context, c Client, k string) error { _, err := c.ListKeyVersions(ctx, k); return err },
		OpSetAlias:        func(ctx context.Context, c Client, k string) error { return c.SetAlias(ctx, k, "other") },
		OpDeleteAlias:     func(ctx context.Context, c Client, k string) error { return c.DeleteAlias(ctx, k) },
		OpSetDescription:  func(ctx context.Context, c Client, k string) error { return c.SetDescription(ctx, k, "d") },
		OpTagKey: func(ctx context.Context, c Client, k string) error {
			return c.TagKey(ctx, k, map[string]string{"a": "b"})
		},
		OpUntagKey:   func(ctx context.Context, c Client, k string) error { return c.UntagKey(ctx, k, "tag") },
		OpEnableKey:  func(ctx context.Context, c Client, k string) error { return c.EnableKeys(ctx, k) },
		OpDisableKey: func(ctx context.Context, c Client, k string) error { return c.DisableKeys(ctx, k) },
		OpRotateKey:  func(ctx context.Context, c Client, k string) error { _, err := c.RotateKey(ctx, k); return err },
		OpEncrypt:    func(ctx context.Context, c Client, k string) error { _, err := c.Encrypt(ctx, k, nil, nil); return err },
		OpDecrypt:    func(ctx context.Context, c Client, _ string) error { _, err := c.Decrypt(ctx, ct, nil); return err },
		OpReEncryptFrom: func(ctx context.Context, c Client, k string) error {
			_, err := c.ReEncrypt(ctx, ct, "target", nil, nil)
			return err
		},
		OpReEncryptTo: func(ctx context.Context, c Client, k string) error {
			other, err := c.Encrypt(ctx, "target", nil, nil)
			if err != nil {
				return err
			}
			_, err = c.ReEncrypt(ctx, other, k, nil, nil)
			return err
		},
		OpGenerateDataKey: func(ctx context.Context, c Client, k string) error {
			_, err := c.GenerateDataKeyWithoutPlaintext(ctx, k, 32, nil)
			return err
		},
		OpOpenDataKey: func(ctx context.Context, c Client, _ string) error {
			dk, err := c.OpenDataKey(ctx, ct, nil)
			if err == nil {
				dk.Destroy()
			}
			return err
		},
	}
}

// TestStateTable runs each operation in each state and compares with the table.
func TestStateTable(t *testing.T) {
	v, _ := newTestVault(t, Config{})
	c, ctx := v.As(DefaultOwner), t.Context()
	mustKey(t, c, KeyOptions{Alias: "target"})
	for op, row := range stateTable {
		for i, state := range states {
			k := mustKey(t, c, KeyOptions{Alias: "subject", Tags: map[string]string{"tag": "x"}})
			ct, err := c.Encrypt(ctx, k.ID, make([]byte, 32), nil)
			if err != nil {
				t.Fatal(err)
			}
			act, ok := acts(ct)[op]
			if !ok {
				t.Fatalf("%s has no test", op)
			}
			forceState(t, v, k, state)
			err = act(ctx, c, k.ID)
			if allowed := row[i] == '+'; allowed != (err == nil) || !allowed && !errors.Is(err, ErrKeyState) {
				t.Errorf("%s in %s: %v; the table says %c", op, state, err, row[i])
			}
			forceState(t, v, k, Enabled)
			if err := c.SetAlias(ctx, k.ID, "done-"+k.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// forceState puts a CMK into a state that no operation leads to yet.
func forceState(t *testing.T, v *Vault, k Key, s KeyState) {
	t.Helper()
	err := v.store.Commit(t.Context(), func(tx *keystore.Tx) error {
		r, err := tx.Get(keyPath(k.ID))
		if err != nil {
			return err
		}
		now, err := decode[Key](r.Path, r.Value)
		if err != nil {
			return err
		}
		now.State = s
		tx.Put(keyPath(k.ID), encode(now))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
