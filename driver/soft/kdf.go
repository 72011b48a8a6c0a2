package soft

import (
	"cmp"

	"strongroom.example/driver"
)

// The key derivation functions for passphrases. The numbers are encoded in blobs.
const (
	kdfNone      = 0
	kdfArgon2id  = 1
	kdfPBKDF2    = 2
	kdfPBKDF2SM3 = 3
)

// kdfWork is the cost of stretching a secret: passes over memory KiB or, if memory is 0,
// iterations.
type kdfWork struct {
	kdf          byte
	time, memory uint32
}

// work returns the edition's function with its parameters, defaults filled in.
func (p PassphraseParams) work(e driver.Edition) kdfWork {
	w := kdfWork{kdf: passphraseKDF(e), time: cmp.Or(p.Iterations, 600_000)}
	if w.kdf == kdfArgon2id {
		w.time, w.memory = cmp.Or(p.Time, 3), cmp.Or(p.Memory, 64<<10)
	}
	return w
}

// passphraseKDF returns the key derivation function by which an edition stretches
// passphrases.
func passphraseKDF(e driver.Edition) byte {
	switch e {
	case driver.FIPS:
		return kdfPBKDF2
	case driver.SM:
		return kdfPBKDF2SM3
	}
	return kdfArgon2id
}

// sane reports whether the work is within the limits. A blob is parsed before it is
// authenticated, and must not exhaust the machine.
func (w kdfWork) sane() bool {
	switch w.kdf {
	case kdfNone:
		return w.time == 0 && w.memory == 0
	case kdfArgon2id:
		return w.time >= 1 && w.time <= maxTime && w.memory >= 8 && w.memory <= maxMemory
	}
	return w.time >= 1 && w.time <= maxIterations && w.memory == 0
}

// units returns the work in the unit of driver.WorkEstimator.
func (w kdfWork) units() uint64 {
	const pass, iterations = 1 << 10, 3000
	if w.kdf == kdfArgon2id {
		return (uint64(w.time)*uint64(w.memory) + pass - 1) / pass
	}
	return (uint64(w.time) + iterations - 1) / iterations
}
