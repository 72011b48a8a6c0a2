package vault

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"strongroom.example/internal/clock"
	"strongroom.example/internal/suite"
)

// hedge generates random bytes that do not depend on the operating system alone, so that a
// machine that was cloned with the state of its generator does not repeat its output.
type hedge struct {
	suite   suite.ID
	clock   clock.Clock
	counter atomic.Uint64

	mu  sync.RWMutex // protects key, which is in locked memory
	key []byte
}

// fill fills p with
//
//	KDF(HMAC(key, OS random ‖ boot id ‖ time since boot ‖ clock ‖ counter ‖ hash of input))
func (h *hedge) fill(p []byte, input ...[]byte) {
	var fixed hedgeInput
	defer suite.Wipe(fixed[:])
	rand.Read(fixed[:32])
	h.mix(p, &fixed, input)
}

// hedgeInput is the input of the HMAC except the hash.
type hedgeInput [32 + 16 + 8 + 8 + 8]byte

// mix is fill with the operating system's random bytes already at the beginning of fixed.
func (h *hedge) mix(p []byte, fixed *hedgeInput, input [][]byte) {
	boot := h.clock.Boot()
	copy(fixed[32:48], boot.ID[:])
	binary.BigEndian.PutUint64(fixed[48:], uint64(boot.Since))
	binary.BigEndian.PutUint64(fixed[56:], uint64(h.clock.Now().UnixNano()))
	binary.BigEndian.PutUint64(fixed[64:], h.counter.Add(1))
	hashed := h.suite.Hash(input...)
	h.mu.RLock()
	seed := suite.NewSecret(suite.HashSize)
	defer suite.Wipe(seed)
	h.suite.MACTo(seed, h.key, fixed[:], hashed[:])
	h.mu.RUnlock()
	if len(p) == len(seed) {
		copy(p, seed)
		return
	}
	h.suite.KDF(p, seed, "strongroom/random", nil)
}

// stir mixes random bytes of a device into the key:
//
//	key = HMAC(key, "strongroom/stir" ‖ random)
//
// Bytes that are known or constant do not weaken the key.
func (h *hedge) stir(random []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.suite.MACTo(h.key, h.key, []byte("strongroom/stir"), random)
}

// id returns 16 hedged random bytes.
func (h *hedge) id() (id [16]byte) {
	h.fill(id[:])
	return id
}
