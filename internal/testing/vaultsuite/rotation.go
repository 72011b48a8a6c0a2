package vaultsuite

import (
	"errors"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/vault"
)

// ownRotation: the vault rotates a key by itself, and a key that is resident in the device
// gets a new object there. A version that was never used is trimmed, and its object is gone.
func ownRotation(t *testing.T, s *subject) {
	x, ctx, c := s.faulty, t.Context(), s.faulty.owner()
	k := x.create(t, x.options(symmetricRow(s.edition)))
	objects := x.objects(t)
	if _, err := c.SetRotation(ctx, k.ID, vault.Rotation{Uses: 1}); err != nil {
		t.Fatal(err)
	}
	old := encrypt(t, x, k.ID)
	var status vault.RotationStatus
	poll.Until(t, "the vault has rotated the key", func() (done bool) {
		var err error
		if status, err = c.GetRotation(ctx, k.ID); err != nil {
			t.Fatal(err)
		}
		return status.Version == 2
	})
	if _, err := c.SetRotation(ctx, k.ID, vault.Rotation{}); err != nil {
		t.Fatal(err)
	}
	rotated, err := c.RotateKey(ctx, k.ID)
	if err != nil || rotated.Version != 3 || rotated.Residence != k.Residence || rotated.Driver != k.Driver || status.Last.IsZero() {
		t.Fatalf("RotateKey: %+v, %v, after %+v; want version 3 in the same place", rotated, err, status)
	}
	resident := k.Residence == vault.Resident && objects != nil
	if made := x.objectsSince(t, objects); resident && made != 2 {
		t.Errorf("two rotations made %d objects in the device", made)
	}
	if got, err := c.Decrypt(ctx, old, purpose()); same(got, err) != nil {
		t.Errorf("Decrypt by the first version: %v", same(got, err))
	}
	if err := c.SetMinimumVersion(ctx, k.ID, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Decrypt(ctx, old, purpose()); !errors.Is(err, vault.ErrMinimumVersion) {
		t.Errorf("Decrypt below the minimum version: %v, want ErrMinimumVersion", err)
	}
	if err := c.TrimKeyVersion(ctx, k.ID, 1); !errors.Is(err, vault.ErrVersionUsed) {
		t.Errorf("TrimKeyVersion of a version that encrypted: %v, want ErrVersionUsed", err)
	}
	if err := c.TrimKeyVersion(ctx, k.ID, 2); err != nil {
		t.Errorf("TrimKeyVersion of an unused version: %v", err)
	}
	if made := x.objectsSince(t, objects); resident && made != 1 {
		t.Errorf("%d objects more than before the rotations, after one version was trimmed", made)
	}
	checkOwnRotation(t, x, k.ID)
}

// checkOwnRotation checks that the rotation by the vault is on record as its own.
func checkOwnRotation(t *testing.T, x *home, key string) {
	t.Helper()
	var by []string
	for r, err := range x.owner().AuditRecords(t.Context(), audit.Filter{Operation: string(vault.OpRotateKey), Key: key, Result: audit.OK}) {
		if err != nil {
			t.Fatal(err)
		}
		by = append(by, r.Principal)
	}
	if len(by) != 2 || by[0] != "(vault)" || by[1] == "(vault)" {
		t.Errorf("the rotations are recorded by %q, want the vault, and then the owner", by)
	}
}
