package keystore

import (
	"bytes"
	"crypto/rand"
	"errors"
)

// newEngine opens the engine in dir. It tries the secret of each unlocked root file. They
// normally belong to the same store and share one secret; the secret of another store
// does not open the engine.
func (s *Store) newEngine(dir string) (e Engine, err error) {
	if s.cfg.OpenKeyedEngine == nil {
		return s.cfg.OpenEngine(dir)
	}
	if s.keys == nil && len(s.unlocked) == 0 {
		return s.newEngineUnderAnyKey(dir)
	}
	var tried []*keyring
	for _, k := range s.keyrings() {
		if len(tried) > 0 && bytes.Equal(tried[len(tried)-1].secret(), k.secret()) {
			continue
		}
		tried = append(tried, k)
		mac, macErr := s.engineMAC(k)
		if macErr != nil {
			return nil, macErr
		}
		if e, err = s.cfg.OpenKeyedEngine(EngineConfig{Dir: dir, MAC: mac}); err == nil {
			return e, nil
		}
		if !errors.Is(err, ErrCorrupt) {
			return nil, err
		}
	}
	return nil, err
}

// keyrings returns the keyring in force or, while the store is being opened, those of all
// unlocked root files.
func (s *Store) keyrings() (all []*keyring) {
	if s.keys != nil {
		return []*keyring{s.keys}
	}
	for _, u := range s.unlocked {
		all = append(all, u.keys)
	}
	return all
}

// engineMAC returns the MAC with which the engine authenticates its files. Its key is
// derived from the vault's secret, which does not change with the root or the epochs, and
// stays in locked memory until the store is closed.
func (s *Store) engineMAC(k *keyring) (func(parts ...[]byte) [32]byte, error) {
	return s.macUnder(func(key []byte) { k.suite.KDF(key, k.secret(), "strongroom/engine", nil) })
}

// macUnder allocates a key in locked memory, calls fill to set it and returns a MAC under
// it.
func (s *Store) macUnder(fill func(key []byte)) (func(parts ...[]byte) [32]byte, error) {
	key, err := s.arena.Alloc(keySize)
	if err != nil {
		return nil, err
	}
	s.engineKey.Free()
	s.engineKey = key
	fill(key.Bytes())
	id := s.cfg.Suite
	return func(parts ...[]byte) [32]byte { return id.MAC(key.Bytes(), parts...) }, nil
}

// newEngineUnderAnyKey opens an empty engine under a random key for a restore, because
// the vault's secret is known only at the end of the snapshot. The restore then calls
// rekeyEngine.
func (s *Store) newEngineUnderAnyKey(dir string) (Engine, error) {
	mac, err := s.macUnder(func(key []byte) { rand.Read(key) })
	if err != nil {
		return nil, err
	}
	return s.cfg.OpenKeyedEngine(EngineConfig{Dir: dir, MAC: mac})
}

// rekeyEngine gives the engine the key that the next Open will derive.
func (s *Store) rekeyEngine() error {
	e, ok := s.engine.(RekeyEngine)
	if !ok {
		return nil
	}
	old := s.engineKey
	s.engineKey = nil // the old key is in use until Rekey returns
	defer old.Free()
	mac, err := s.engineMAC(s.keys)
	if err != nil {
		return err
	}
	return e.Rekey(mac)
}
