package soft

import (
	"cmp"

	"strongroom.example/driver"
)

// The ways to stretch a secret. The numbers stand in blobs.
const (
	kdfNone      = 0
	kdfArgon2id  = 1
	kdfPBKDF2    = 2
	kdfPBKDF2SM3 = 3
)

// work is what it costs to stretch a secret: passes over memory KiB, or iterations
// over none.
type work struct {
	kdf          byte
	time, memory uint32
}

// work picks an edition's way and fills in the defaults.
func (p PassphraseParams) work(e driver.Edition) work {
	w := work{kdf: passphraseKDF(e), time: cmp.Or(p.Iterations, 600_000)}
	if w.kdf == kdfArgon2id {
		w.time, w.memory = cmp.Or(p.Time, 3), cmp.Or(p.Memory, 64<<10)
	}
	return w
}

// passphraseKDF is the one way that an edition stretches passphrases.
func passphraseKDF(e driver.Edition) byte {
	switch e {
	case driver.FIPS:
		return kdfPBKDF2
	case driver.SM:
		return kdfPBKDF2SM3
	}
	return kdfArgon2id
}

// sane reports whether the work is within the limits: a blob is read before it is
// authenticated, and must not exhaust the machine.
func (w work) sane() bool {
	switch w.kdf {
	case kdfNone:
		return w.time == 0 && w.memory == 0
	case kdfArgon2id:
		return w.time >= 1 && w.time <= maxTime && w.memory >= 8 && w.memory <= maxMemory
	}
	return w.time >= 1 && w.time <= maxIterations && w.memory == 0
}

// units is the work in the unit of driver.WorkEstimator.
func (w work) units() uint64 {
	const pass, iterations = 1 << 10, 3000
	if w.kdf == kdfArgon2id {
		return (uint64(w.time)*uint64(w.memory) + pass - 1) / pass
	}
	return (uint64(w.time) + iterations - 1) / iterations
}
