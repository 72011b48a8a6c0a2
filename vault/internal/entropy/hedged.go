// Package entropy generates hedged random bytes: bytes that do not depend on the operating
// system alone.
package entropy

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"strongroom.example/internal/clock"
	"strongroom.example/internal/suite"
)

// KeySize is the length of a Source's key in bytes.
const KeySize = suite.HashSize

// A Source generates random bytes by mixing those of the operating system with a key, the
// clock and a counter, so that a machine that was cloned with the state of its generator
// does not repeat its output. It is safe for concurrent use.
type Source struct {
	suite   suite.ID
	clock   clock.Clock
	counter atomic.Uint64

	mu  sync.RWMutex // protects key, which is in locked memory
	key []byte
}

// New returns a Source with the given key of KeySize bytes. The Source keeps and changes
// key; the caller wipes it after the last use.
func New(id suite.ID, key []byte, c clock.Clock) *Source {
	return &Source{suite: id, key: key, clock: c}
}

// Fill fills p with
//
//	KDF(HMAC(key, OS random ‖ boot id ‖ time since boot ‖ clock ‖ counter ‖ hash of input))
func (s *Source) Fill(p []byte, input ...[]byte) {
	var fixed fixedInput
	defer suite.Wipe(fixed[:])
	rand.Read(fixed[:32])
	s.mix(p, &fixed, input)
}

// fixedInput is the input of the HMAC except the hash.
type fixedInput [32 + 16 + 8 + 8 + 8]byte

// mix is Fill with the operating system's random bytes already at the beginning of fixed.
func (s *Source) mix(p []byte, fixed *fixedInput, input [][]byte) {
	boot := clock.BootOf(s.clock)
	copy(fixed[32:48], boot.ID[:])
	binary.BigEndian.PutUint64(fixed[48:], uint64(boot.Since))
	binary.BigEndian.PutUint64(fixed[56:], uint64(s.clock.Now().UnixNano()))
	binary.BigEndian.PutUint64(fixed[64:], s.counter.Add(1))
	hashed := s.suite.Hash(input...)
	s.mu.RLock()
	seed := suite.NewSecret(suite.HashSize)
	defer suite.Wipe(seed)
	s.suite.MACTo(seed, s.key, fixed[:], hashed[:])
	s.mu.RUnlock()
	if len(p) == len(seed) {
		copy(p, seed)
		return
	}
	s.suite.KDF(p, seed, "strongroom/random", nil)
}

// Reseed mixes random bytes of a device into the key:
//
//	key = HMAC(key, "strongroom/stir" ‖ random)
//
// Bytes that are known or constant do not weaken the key.
func (s *Source) Reseed(random []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suite.MACTo(s.key, s.key, []byte("strongroom/stir"), random)
}

// ID returns 16 random bytes.
func (s *Source) ID() (id [16]byte) {
	s.Fill(id[:])
	return id
}
