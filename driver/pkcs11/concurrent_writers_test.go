//go:build cgo && unix

package pkcs11_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestTwoHandles: a token that shows each object under two handles works like any other.
func TestTwoHandles(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.TwoHandles)
	d := opened(t, faulty.PKCS11)
	for _, row := range d.Info().Specs {
		if row.Spec.Algorithm != driver.RSA3072 && row.Spec.Algorithm != driver.RSA4096 {
			everyWay(t, d, row)
		}
	}
	seen := make(map[driver.MaterialID]bool)
	for id, err := range d.(driver.Lister).ListKeys(t.Context()) {
		if err != nil || seen[id] {
			t.Errorf("ListKeys returns %v twice, or fails: %v", id, err)
		}
		seen[id] = true
	}
	for id := range seen {
		if err := d.DestroyKey(t.Context(), id, nil); err != nil {
			t.Errorf("DestroyKey of a key with two handles: %v", err)
		}
	}
	for id, err := range d.(driver.Lister).ListKeys(t.Context()) {
		t.Errorf("ListKeys after all keys were destroyed returns %v, %v", id, err)
	}
}

// TestOneWriter: in a token of unknown kind no key is made while another is being
// destroyed. In SoftHSM one is. In both, existing keys work during that time.
func TestOneWriter(t *testing.T) {
	for profile, parallel := range map[string]bool{"generic": false, "softhsm": true} {
		t.Run(profile, func(t *testing.T) {
			faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
			c := config(faulty.PKCS11)
			c.Profile = profile
			d := openedWith(t, c)
			v, gone := newTestKey(t, d), newTestKey(t, d)
			faulty.Hang(testtoken.CDestroyObject)
			destroyed := make(chan error)
			go func() { destroyed <- d.DestroyKey(context.Background(), gone.id, nil) }()
			faulty.AwaitHang(t)
			limited, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if parallel {
				limited = t.Context()
			}
			_, err := d.GenerateKey(limited, freshID(), derive)
			if parallel && err != nil || !parallel && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("GenerateKey while a key is being destroyed: %v, want DeadlineExceeded unless the profile is parallel", err)
			}
			v.mustWork(t, "while another key is being destroyed")
			faulty.Release()
			if err := <-destroyed; err != nil {
				t.Errorf("DestroyKey: %v", err)
			}
			if _, err := d.GenerateKey(t.Context(), freshID(), derive); err != nil {
				t.Errorf("GenerateKey afterwards: %v", err)
			}
		})
	}
}

// TestConcurrentWriters makes, opens, uses and destroys keys from 8 goroutines on each
// token. Every key works, and none is left.
func TestConcurrentWriters(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 10 {
					id := freshID()
					if err := lifeOfAKey(d, id); err != nil {
						t.Errorf("making, using and destroying a key among others: %v", err)
					}
				}
			})
		}
		all.Wait()
		for id, err := range d.(driver.Lister).ListKeys(t.Context()) {
			t.Errorf("ListKeys after all keys were destroyed returns %v, %v", id, err)
		}
	})
}

func lifeOfAKey(d driver.Driver, id driver.MaterialID) error {
	ctx := context.Background()
	if _, err := d.GenerateKey(ctx, id, derive); err != nil {
		return err
	}
	k, err := d.OpenKey(ctx, id, derive, nil)
	if err != nil {
		return err
	}
	_, err = k.(driver.PRF).PRF(ctx, nil, []byte("input"))
	return errors.Join(err, k.Close(), d.DestroyKey(ctx, id, nil))
}
