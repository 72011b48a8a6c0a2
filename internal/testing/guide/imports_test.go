//go:build cgo && unix

package guide

import (
	"fmt"
	"time"

	"strongroom.example/vault"
)

// wrappings are the three algorithms, with the options by which openssl wraps.
var wrappings = []struct {
	alg     vault.WrappingAlgorithm
	options string
}{
	{vault.WrapRSAESPKCS1V15, " -pkeyopt rsa_padding_mode:pkcs1"},
	{vault.WrapRSAESOAEPSHA1, " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1"},
	{vault.WrapRSAESOAEPSHA256, " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256"},
}

// imports are the flows of the four steps of bring-your-own-key.
func imports() (all []flow) {
	for i, x := range wrappings {
		all = append(all, flow{"Import in four steps, " + string(x.alg), func(s *stand) string { return s.bringYourOwn(i) }})
	}
	return all
}

// external returns the CMKs without material of a column, and the cell; see keys.
func (s *stand) external() ([]vault.Key, string) {
	s.Helper()
	keys, cell := s.keys(vault.KeyOptions{Origin: vault.OriginExternal})
	for _, k := range keys {
		s.state(k.ID, vault.PendingImport)
	}
	return keys, cell
}

// material returns a file of fresh material, as its owner makes it.
func (s *stand) material(p vault.ImportParameters) string {
	s.Run(fmt.Sprint("rand -out raw_material.bin ", p.MaterialSize))
	return "raw_material.bin"
}

// wrap encrypts material for the vault, as its owner does.
func (s *stand) wrap(p vault.ImportParameters, file, options string) vault.ImportMaterial {
	s.Helper()
	s.Write("public_key.bin", p.PublicKey.DER)
	s.Run("pkeyutl -in " + file + " -out encrypted_key_material.bin -inkey public_key.bin -keyform DER -pubin -encrypt" + options)
	return vault.ImportMaterial{Token: p.Token, EncryptedMaterial: s.Read("encrypted_key_material.bin")}
}

// bringYourOwn does the four steps with one algorithm.
func (s *stand) bringYourOwn(i int) string {
	x := wrappings[i]
	keys, cell := s.external() // step 1
	for _, k := range keys {
		p, err := s.owner.ParametersForImport(s.Context(), k.ID, vault.ImportRequest{Algorithm: x.alg}) // step 2
		if s.refused(err, string(x.alg)) {
			return notInEdition
		}
		s.ok(err)
		s.bring(k, p, x.options)
		if p.Path == vault.PathDevice {
			cell = inDevice + ", unwrapped there"
		}
	}
	return cell
}

// bring does steps 3 and 4. The CMK is bound to its material then: the same may be imported
// again, and no other.
func (s *stand) bring(k vault.Key, p vault.ImportParameters, options string) {
	m := s.wrap(p, s.material(p), options)                    // step 3
	k, err := s.owner.ImportKeyMaterial(s.Context(), k.ID, m) // step 4
	s.ok(err)
	s.state(k.ID, vault.Enabled)
	data := s.random(100)
	s.decrypts(s.encrypt(k.ID, data), data)
	_, err = s.owner.ImportKeyMaterial(s.Context(), k.ID, m)
	s.ok(err)
	s.Run(fmt.Sprint("rand -out other.bin ", p.MaterialSize))
	_, err = s.owner.ImportKeyMaterial(s.Context(), k.ID, s.wrap(p, "other.bin", options))
	s.want("other material", err, vault.ErrOtherMaterial)
}

// materialLife lets material expire, imports it again, deletes it and imports it once more.
func materialLife(s *stand) string {
	keys, cell := s.external()
	for _, k := range keys {
		s.expire(k)
	}
	return cell
}

func (s *stand) expire(k vault.Key) {
	ctx, x := s.Context(), wrappings[len(wrappings)-1]
	bring := func(validTo time.Time) {
		s.Helper()
		p, err := s.owner.ParametersForImport(ctx, k.ID, vault.ImportRequest{Algorithm: x.alg})
		s.ok(err)
		m := s.wrap(p, "raw_material.bin", x.options)
		m.ValidTo = validTo
		_, err = s.owner.ImportKeyMaterial(ctx, k.ID, m)
		s.ok(err)
	}
	p, err := s.owner.ParametersForImport(ctx, k.ID, vault.ImportRequest{Algorithm: x.alg})
	s.ok(err)
	s.material(p)
	late := s.wrap(p, "raw_material.bin", x.options)
	s.clock.Advance(24*time.Hour + time.Second)
	_, err = s.owner.ImportKeyMaterial(ctx, k.ID, late)
	s.want("a token after 24 hours", err, vault.ErrImportToken)
	bring(s.clock.Now().Add(time.Hour))
	data := s.random(100)
	ct := s.encrypt(k.ID, data)
	gone := func(what string) {
		s.Helper()
		s.state(k.ID, vault.PendingImport)
		_, err := s.owner.Decrypt(ctx, ct, purpose)
		s.want(what, err, vault.ErrKeyState)
	}
	s.clock.Advance(time.Hour)
	gone("expired material")
	bring(time.Time{})
	s.decrypts(ct, data)
	s.ok(s.owner.DeleteImportedKeyMaterial(ctx, k.ID))
	gone("deleted material")
	bring(time.Time{})
	s.decrypts(ct, data)
}

// scheduledDeletion makes the waiting time pass.
func scheduledDeletion(s *stand) string {
	keys, cell := s.keys(vault.KeyOptions{})
	for _, k := range keys {
		s.delete(k.ID)
	}
	return cell
}

func (s *stand) delete(key string) {
	const day = 24 * time.Hour
	ctx, c := s.Context(), s.owner
	ct := s.encrypt(key, []byte("gone in a week"))
	schedule := func(days int) error {
		_, err := c.ScheduleKeyDeletion(ctx, key, days)
		return err
	}
	s.want("deletion of an enabled key", schedule(vault.MinDeletionDays), vault.ErrKeyState)
	s.ok(c.DisableKeys(ctx, key))
	s.want("too short a time", schedule(vault.MinDeletionDays-1), vault.ErrInvalid)
	s.want("too long a time", schedule(vault.MaxDeletionDays+1), vault.ErrInvalid)
	s.ok(schedule(vault.MinDeletionDays))
	s.clock.Advance(vault.MinDeletionDays*day - time.Second)
	s.state(key, vault.PendingDeletion)
	s.ok(c.CancelKeyDeletion(ctx, key))
	s.ok(c.EnableKeys(ctx, key))
	s.decrypts(ct, []byte("gone in a week"))
	s.ok(c.DisableKeys(ctx, key))
	s.ok(schedule(vault.MaxDeletionDays))
	s.clock.Advance(vault.MaxDeletionDays * day)
	s.state(key, vault.Destroyed)
	_, err := c.Decrypt(ctx, ct, purpose)
	s.want("Decrypt under a destroyed key", err, vault.ErrKeyState)
	s.want("cancelling too late", c.CancelKeyDeletion(ctx, key), vault.ErrKeyState)
}

// rotation rotates a key at once and by a schedule.
func rotation(s *stand) string {
	keys, cell := s.keys(vault.KeyOptions{})
	ctx, c := s.Context(), s.owner
	for _, k := range keys {
		data := s.random(100)
		first := s.encrypt(k.ID, data)
		k, err := c.RotateKey(ctx, k.ID)
		s.ok(err)
		s.decrypts(first, data)
		again, err := c.ReEncrypt(ctx, first, "", purpose, purpose)
		s.ok(err)
		s.decrypts(again, data)
		if in, err := vault.Inspect(again); err != nil || in.Version != 2 || k.Version != 2 {
			s.Errorf("after a rotation the key has version %d, and ReEncrypt gives %+v, %v", k.Version, in, err)
		}
		_, err = c.SetRotation(ctx, k.ID, vault.Rotation{Days: vault.MinRotationDays - 1})
		s.want("too short an interval", err, vault.ErrInvalid)
		_, err = c.SetRotation(ctx, k.ID, vault.Rotation{Days: vault.MinRotationDays})
		s.ok(err)
		s.clock.Advance(vault.MinRotationDays * 24 * time.Hour)
		if k, err := c.DescribeKey(ctx, k.ID); err != nil || k.Version != 3 {
			s.Errorf("after the interval the key has version %d, %v, want 3", k.Version, err)
		}
		s.decrypts(first, data)
		_, err = c.SetRotation(ctx, k.ID, vault.Rotation{})
		s.ok(err)
	}
	outside, _ := s.external()
	_, err := c.RotateKey(ctx, outside[0].ID)
	s.want("rotation of a key for imports", err, vault.ErrUnsupported)
	return cell
}
