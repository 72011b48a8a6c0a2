package vault

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"strongroom.example/audit"
)

// TestDisableRacesUse: 64 goroutines use one CMK while it is disabled and enabled. In the
// order of the audit log there is no use between an acknowledged Disable and the next
// Enable.
func TestDisableRacesUse(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Alias: "hot"})
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var users sync.WaitGroup
	for i := range 64 {
		users.Add(1)
		go func() {
			defer users.Done()
			for n := i; !stop.Load(); n++ {
				if err := useOnce(ctx, c, k.ID, ct, n); err != nil && !errors.Is(err, ErrKeyState) && !errors.Is(err, ErrThrottled) {
					t.Errorf("use: %v", err)
					return
				}
			}
		}()
	}
	for range 20 {
		if err := errors.Join(c.DisableKeys(ctx, k.ID), c.EnableKeys(ctx, k.ID)); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	users.Wait()
	uses, disabled := 0, false
	for r, err := range c.AuditRecords(ctx, audit.Filter{Key: k.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Operation == string(OpDisableKey) && r.Result == audit.OK:
			disabled = true
		case r.Operation == string(OpEnableKey) && r.Result == audit.OK:
			disabled = false
		case r.Result == audit.OK && stateTable[Operation(r.Operation)][2] == '-':
			if uses++; disabled {
				t.Errorf("record %d: %s while disabled", r.Seq, r.Operation)
			}
		}
	}
	if uses == 0 {
		t.Error("no call used the key")
	}
}

// useOnce runs one of the operations, chosen by n.
func useOnce(ctx context.Context, c Client, key string, ct []byte, n int) (err error) {
	switch n % 8 {
	case 0, 1:
		_, err = c.Encrypt(ctx, key, []byte("y"), nil)
	case 2, 3:
		_, err = c.Decrypt(ctx, ct, nil)
	case 4:
		var dk *DataKey
		if dk, err = c.GenerateDataKey(ctx, key, 32, nil); err == nil {
			dk.Destroy()
		}
	case 5:
		_, err = c.ReEncrypt(ctx, ct, "", nil, nil)
	case 6:
		_, err = c.DescribeKey(ctx, "hot")
	case 7:
		if n%64 == 7 {
			_, err = c.RotateKey(ctx, key)
		} else {
			_, err = c.GenerateRandom(ctx, 8)
		}
	}
	return err
}
