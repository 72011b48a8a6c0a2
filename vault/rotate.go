package vault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"strongroom.example/internal/clock"
	"strongroom.example/internal/usecount"
	"strongroom.example/keystore"
)

// The limits of Rotation.Days.
const (
	MinRotationDays = 7
	MaxRotationDays = 365
)

// A Rotation says when the vault rotates a CMK by itself. The zero value means never.
type Rotation struct {
	// Days is the time between two rotations, MinRotationDays to MaxRotationDays. 0 means no
	// rotation by time.
	Days int `json:"days,omitempty"`
	// Uses is the number of KeyUses.Protected at which the primary version is replaced. It is
	// no limit: the version is used until the rotation is done, which the vault begins within
	// about a second. 0 means no rotation by uses.
	Uses uint64 `json:"uses,omitempty"`
}

// A RotationStatus is the result of GetRotation.
type RotationStatus struct {
	Rotation Rotation
	// Version is the number of the primary version. Uses are its uses.
	Version uint32
	Uses    KeyUses
	// Last is the time of the last rotation. Zero means that the CMK was not rotated yet.
	Last time.Time
	// Next is the time of the next rotation by Rotation.Days. Zero means that there is none.
	Next time.Time
}

// rotations begins the paths of the records of CMKs with a Rotation. Open schedules the
// rotations by them, and need not read every CMK.
const rotations = "rotation/"

func rotationPath(id string) string { return rotations + id }

// rotationRetry is the time between two attempts to rotate a CMK that is not Enabled, or
// whose device fails.
const rotationRetry = time.Hour

// RotateKey makes a new version of a CMK, which becomes the primary version and encrypts
// from then on. Older versions remain and decrypt their ciphertexts. If the material is
// resident in a device, the new version is a new object there. RotateKey returns the
// description of the CMK after the rotation. Errors: ErrUsage for a CMK that is not
// EncryptDecrypt, ErrUnsupported for imported material, ErrRotatedRecently.
func (c Client) RotateKey(ctx context.Context, key string) (Key, error) {
	return operate(ctx, c, request{op: OpRotateKey, key: key}, func(ctx context.Context, d *decision) (Key, error) {
		v := c.vault
		if end := v.rotationGuard(d.t.Key); v.deadline.Now().Before(end) {
			return Key{}, d.fail(ctx, fmt.Errorf("%w; the key can be rotated from %s on", ErrRotatedRecently, end.Format(time.RFC3339)))
		}
		rotated, err := d.rotate(ctx)
		if err == nil && rotated.Rotation != (Rotation{}) {
			v.scheduleRotation(rotated)
		}
		return rotated, err
	}, nil)
}

// rotate makes a new version, which becomes the primary one.
func (d *decision) rotate(ctx context.Context) (rotated Key, err error) {
	v := d.client.vault
	ver, err := v.newVersion(d.t.Key, d.t.Version+1, v.clock.Now().UTC())
	if err != nil {
		return Key{}, d.fail(ctx, err)
	}
	d.rec.KeyVersion, d.rec.Algorithm = ver.Number, string(ver.Algorithm)
	err = d.createMaterial(ctx, materialPlan{ver: ver, keep: func(tx *keystore.Tx, made madeKey) (err error) {
		if err := putVersion(tx, ver, made); err != nil {
			return err
		}
		rotated, err = v.setPrimary(tx, ver)
		return err
	}})
	return rotated, err
}

// setPrimary makes ver the primary version of its CMK. Other fields of the CMK may have
// changed while the device worked.
func (v *Vault) setPrimary(tx *keystore.Tx, ver storedVersion) (Key, error) {
	k, err := keyInTx(tx, ver.Key)
	if err != nil {
		return Key{}, err
	}
	if !k.State.allows(OpRotateKey) {
		return Key{}, k.State.refuse(OpRotateKey, k.ID)
	}
	if k.Version != ver.Number-1 {
		return Key{}, errConflict // another rotation was first
	}
	k.Version, k.Rotated = ver.Number, ver.Created
	k.NextRotation = k.nextRotation(v.confirmedNow())
	k.setLocation(ver)
	tx.Put(keyPath(k.ID), encode(k))
	return k, nil
}

// SetRotation sets when the vault rotates a CMK by itself, and returns the CMK. The zero
// Rotation ends these rotations. The days count from the last rotation, or from the creation of
// the CMK; if they have passed, the vault rotates at once. Setting the same Rotation again
// therefore postpones nothing.
//
// The vault rotates while it is open and the CMK is Enabled, and records that as a RotateKey
// of its own. A rotation that was missed, because the vault was closed or the device absent,
// is done once, however often it was due. A time of day that is in doubt rotates nothing;
// see ConfirmTime. If the device fails, the vault tries again after an hour.
//
// Errors: ErrInvalid for another number of days, ErrUsage for a CMK that is not
// EncryptDecrypt, ErrUnsupported for imported material, ErrKeyState.
func (c Client) SetRotation(ctx context.Context, key string, r Rotation) (Key, error) {
	q := request{op: OpSetRotation, key: key}
	if r.Days != 0 && (r.Days < MinRotationDays || r.Days > MaxRotationDays) {
		return Key{}, c.argumentError(ctx, q, invalid("a key is rotated after %d to %d days, not %d", MinRotationDays, MaxRotationDays, r.Days))
	}
	var out Key
	err := c.changeKey(ctx, q, func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		k.Rotation = r
		k.NextRotation = k.nextRotation(c.vault.confirmedNow())
		if r == (Rotation{}) {
			tx.Delete(rotationPath(k.ID))
		} else {
			tx.Put(rotationPath(k.ID), encode(struct{}{}))
		}
		out = k.clone()
		return map[string]string{"days": strconv.Itoa(r.Days), "uses": strconv.FormatUint(r.Uses, 10)}, nil
	})
	if err != nil {
		return Key{}, err
	}
	c.vault.scheduleRotation(out)
	return out, nil
}

// GetRotation returns when a CMK was rotated and will be. ListKeyVersions returns the
// history.
func (c Client) GetRotation(ctx context.Context, key string) (RotationStatus, error) {
	return useKey(ctx, c, request{op: OpGetRotation, key: key}, func(ctx context.Context, d *decision) (RotationStatus, error) {
		k := d.t.Key
		s := RotationStatus{Rotation: k.Rotation, Version: k.Version, Next: k.NextRotation}
		if k.Version > 1 {
			s.Last = k.Rotated
		}
		if k.Version == 0 || k.State == Creating {
			return s, nil
		}
		ver, err := c.vault.records.version(ctx, k.ID, k.Version)
		s.Uses = c.vault.usesOf(ver)
		return s, err
	}, nil)
}

// nextRotation returns the time of the next rotation by days, not before now. The clock by
// which the last rotation was recorded may have been ahead.
func (k Key) nextRotation(now time.Time) time.Time {
	if k.Rotation.Days == 0 {
		return time.Time{}
	}
	last := k.Rotated
	if last.After(now) {
		last = now
	}
	next := last.Add(time.Duration(k.Rotation.Days) * day)
	if next.Before(now) {
		next = now
	}
	return clock.Within(next)
}

// rotationGuard returns the time from which Config.MinRotateInterval allows a rotation. A
// rotation in the future, recorded by a clock that was ahead, does not count.
func (v *Vault) rotationGuard(k Key) time.Time {
	if v.cfg.MinRotateInterval == 0 || k.Version < 2 || k.Rotated.After(v.deadline.Now()) {
		return time.Time{}
	}
	return clock.Within(k.Rotated.Add(v.cfg.MinRotateInterval))
}

// rotationTime returns the time at which the vault rotates a CMK, and why. Zero means never.
func (v *Vault) rotationTime(k Key) (at time.Time, why string) {
	now := v.confirmedNow()
	at, why = k.NextRotation, "days"
	if v.usedUp(k) && (at.IsZero() || now.Before(at)) {
		at, why = now, "uses"
	}
	if end := v.rotationGuard(k); !at.IsZero() && at.Before(end) {
		at = end
	}
	return at, why
}

// usedUp reports whether the primary version has reached Rotation.Uses.
func (v *Vault) usedUp(k Key) bool {
	primary := storedVersion{KeyVersion: KeyVersion{Key: k.ID, Number: k.Version}}
	return k.Rotation.Uses > 0 && v.usesOf(primary).Protected >= k.Rotation.Uses
}

// rotateIfUsedUp schedules the rotation of a CMK that has reached Rotation.Uses by the
// operation, once for each version. The task itself repeats what fails.
func (d *decision) rotateIfUsedUp() {
	v := d.client.vault
	if kind, counted := countedAs[d.q.op]; !counted || kind != usecount.Protect || !v.usedUp(d.t.Key) {
		return
	}
	if last, _ := v.usedUpAt.Swap(d.t.ID, d.t.Version); last != d.t.Version {
		v.scheduleRotation(d.t.Key)
	}
}

// scheduleRotations schedules the rotation of every CMK with a Rotation.
func (v *Vault) scheduleRotations(ctx context.Context) {
	for _, path := range v.store.Paths(rotations) {
		t, err := v.records.key(ctx, strings.TrimPrefix(path, rotations))
		if err != nil {
			v.tasks.Postpone(path)
			continue
		}
		if err := v.renewRotation(ctx, t.Key); err != nil {
			v.tasks.Postpone(path)
		}
	}
}

// renewRotation schedules the rotation of a CMK. If the stored time was computed by a clock
// that was ahead, it computes and stores the time again.
func (v *Vault) renewRotation(ctx context.Context, k Key) error {
	latest := v.confirmedNow().Add(time.Duration(k.Rotation.Days) * day)
	if k.NextRotation.After(latest) {
		err := v.store.Commit(ctx, func(tx *keystore.Tx) (err error) {
			if k, err = keyInTx(tx, k.ID); err != nil {
				return err
			}
			k.NextRotation = k.nextRotation(v.confirmedNow())
			tx.Put(keyPath(k.ID), encode(k))
			return nil
		})
		if err != nil {
			return err
		}
	}
	v.scheduleRotation(k)
	return nil
}

func (v *Vault) scheduleRotation(k Key) {
	at, _ := v.rotationTime(k)
	v.tasks.Schedule(rotationPath(k.ID), at)
}

// rotateDue is the background task of a CMK with a Rotation. No Authorizer is asked.
func (v *Vault) rotateDue(ctx context.Context, id string) error {
	path := rotationPath(id)
	// The time is read when it is used, because SetTimeBack may be called while a device works.
	later := func() time.Time { return v.confirmedNow().Add(rotationRetry) }
	for range maxAttempts {
		t, err := v.records.key(ctx, id)
		if err != nil {
			return err
		}
		at, why := v.rotationTime(t.Key)
		if at.IsZero() || v.confirmedNow().Before(at) {
			return v.renewRotation(ctx, t.Key) // SetRotation, RotateKey or SetTimeBack was called since
		}
		if !t.State.allows(OpRotateKey) || v.drivers[t.Driver] == nil {
			v.tasks.Schedule(path, later())
			return nil
		}
		rotated, err := v.ownRotation(t, why).rotate(ctx)
		if err == nil {
			v.scheduleRotation(rotated)
			return nil
		}
		if !errors.Is(err, errConflict) {
			v.tasks.Schedule(path, later()) // the failure is on record
			return nil
		}
	}
	return errConflict
}

// ownRotation returns the decision of a rotation by the vault itself.
func (v *Vault) ownRotation(t *target, why string) *decision {
	d := v.ownDecision(request{op: OpRotateKey, key: t.ID}, t)
	v.describe(&d.rec, d.q, t)
	d.rec.Detail = map[string]string{"due": why}
	return d
}

// SetMinimumVersion sets the oldest version of a CMK that decrypts. The vault refuses
// ciphertexts of older versions with ErrMinimumVersion from the moment at which
// SetMinimumVersion returns nil. 1 means that all versions decrypt. The minimum can be
// lowered again, but not to a version that was trimmed. Named data keys of older versions
// cannot be opened either: re-encrypt them with ReEncryptDataKey before.
//
// Errors: ErrInvalid for a version that the CMK does not have or that was trimmed; ErrUsage
// for a CMK that is not EncryptDecrypt; ErrUnsupported for imported material; ErrKeyState.
func (c Client) SetMinimumVersion(ctx context.Context, key string, version uint32) error {
	return c.changeKey(ctx, request{op: OpSetMinimumVersion, key: key, number: int64(version)}, func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		if version < 1 || version > k.Version {
			return nil, invalid("the key has versions 1 to %d, not %d", k.Version, version)
		}
		for n := k.MinVersion; n > version; n-- {
			ver, err := versionInTx(tx, k.ID, n-1)
			if err != nil {
				return nil, err
			}
			if !ver.Trimmed.IsZero() {
				return nil, invalid("version %d was trimmed, so that the minimum is %d or more", n-1, n)
			}
		}
		detail := map[string]string{"from": versionText(max(1, k.MinVersion)), "to": versionText(version)}
		k.MinVersion = version
		return detail, nil
	})
}

func versionText(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// TrimKeyVersion destroys the material of a version that is below the minimum version and
// that is proven to be unused: it never made a ciphertext or a data key, and all its uses
// were counted. The description of the version remains. The material is destroyed in the way
// of DeleteImportedKeyMaterial; if the device fails or is another one, the vault continues in
// the background.
//
// No other version is trimmed, because neither the counts nor a re-encryption can prove that
// no copy of a ciphertext is left. To destroy such a version, re-encrypt under another CMK
// and schedule the deletion of this one, which gives every user a waiting period.
//
// Errors: ErrVersionUsed; ErrNotFound for a version that the CMK does not have; ErrInvalid
// for one that is not below the minimum; ErrUsage, ErrUnsupported and ErrKeyState as for
// SetMinimumVersion. It returns nil if the version was trimmed before.
func (c Client) TrimKeyVersion(ctx context.Context, key string, version uint32) error {
	q := request{op: OpTrimKeyVersion, key: key, version: version, number: int64(version)}
	if version == 0 {
		return c.argumentError(ctx, q, invalid("the versions of a key begin with 1"))
	}
	return c.do(ctx, q, func(ctx context.Context, d *decision) error { return d.trimVersion(ctx) })
}

// trimVersion destroys the material of the requested version:
//
//	intent → destruction → outcome
func (d *decision) trimVersion(ctx context.Context) error {
	ver, err := d.client.vault.records.version(ctx, d.t.ID, d.q.version)
	if err == nil && !ver.Trimmed.IsZero() {
		return d.commit(ctx, commitPlan{check: unchanged})
	}
	if err == nil {
		err = d.client.vault.provenUnused(d.t.Key, ver)
	}
	if err != nil {
		return d.fail(ctx, err)
	}
	var in intent
	err = d.commitIntent(ctx, &in, func(tx *keystore.Tx) (err error) {
		in, err = d.detachVersion(tx)
		return err
	})
	if err != nil {
		return d.fail(ctx, err)
	}
	outcome, err := d.runDestruction(ctx, in)
	if err != nil {
		return err // its outcome is recorded by the retry
	}
	return d.commit(ctx, outcome)
}

// detachVersion removes the material from the requested version, and returns the intent to
// destroy it.
func (d *decision) detachVersion(tx *keystore.Tx) (in intent, err error) {
	ver, err := versionInTx(tx, d.t.ID, d.q.version)
	if err != nil {
		return in, err
	}
	if !ver.Trimmed.IsZero() {
		return in, errConflict // another call was first
	}
	if in, err = ver.destroyIntent(tx); err != nil {
		return in, err
	}
	in.Operation, in.Principal = string(d.q.op), string(d.client.principal)
	ver.Material, ver.Device, ver.Trimmed = "", nil, d.client.vault.clock.Now()
	tx.Put(versionPath(ver.Key, ver.Number), encode(ver))
	return in, nil
}

// provenUnused returns nil if the version is below the minimum of k, so that it makes no
// ciphertext any more, and never made one.
func (v *Vault) provenUnused(k Key, ver storedVersion) error {
	if ver.Number >= k.MinVersion {
		return invalid("version %d is not below the minimum version, %d; see SetMinimumVersion", ver.Number, max(1, k.MinVersion))
	}
	switch uses := v.usesOf(ver); {
	case uses.Protected > 0:
		return fmt.Errorf("%w: version %d made %d", ErrVersionUsed, ver.Number, uses.Protected)
	case uses.Incomplete:
		return fmt.Errorf("%w: not all uses of version %d were counted", ErrVersionUsed, ver.Number)
	}
	return nil
}
