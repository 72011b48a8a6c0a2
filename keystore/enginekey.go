package keystore

import (
	"bytes"
	"crypto/rand"
	"errors"
)

// newEngine opens the engine in dir. The root files that were unlocked are all of this
// store, as a rule, and then have one secret; one of another store does not open the
// engine.
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

// keyrings are those in force or, while the store is being opened, those that may be.
func (s *Store) keyrings() (all []*keyring) {
	if s.keys != nil {
		return []*keyring{s.keys}
	}
	for _, u := range s.unlocked {
		all = append(all, u.keys)
	}
	return all
}

// engineMAC returns the MAC that the engine authenticates its files with. Its key is
// derived from the vault's secret, which no change of the root or of an epoch replaces,
// and stays in locked memory until the store is closed.
func (s *Store) engineMAC(k *keyring) (func(parts ...[]byte) [32]byte, error) {
	return s.macUnder(func(key []byte) { k.suite.KDF(key, k.secret(), "strongroom/engine", nil) })
}

// macUnder returns the MAC under the key that fill makes.
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

// newEngineUnderAnyKey opens an empty engine for a restore, which learns the vault's
// secret at its end. rekeyEngine follows.
func (s *Store) newEngineUnderAnyKey(dir string) (Engine, error) {
	mac, err := s.macUnder(func(key []byte) { rand.Read(key) })
	if err != nil {
		return nil, err
	}
	return s.cfg.OpenKeyedEngine(EngineConfig{Dir: dir, MAC: mac})
}

// rekeyEngine gives the engine the key that the next Open derives.
func (s *Store) rekeyEngine() error {
	e, ok := s.engine.(RekeyEngine)
	if !ok {
		return nil
	}
	old := s.engineKey
	s.engineKey = nil // the old key counts until Rekey returns
	defer old.Free()
	mac, err := s.engineMAC(s.keys)
	if err != nil {
		return err
	}
	return e.Rekey(mac)
}
