// Package throttle limits the rates of a vault's operations: for each principal, for classes
// of operations, for each driver, and rotations of each CMK. An operation above a limit fails
// with vault.ErrThrottled, and vault.Error.RetryAfter says when it may be tried again.
//
//	cfg := vault.Config{Limiter: throttle.New(throttle.CloudQuota())}
//
// With CloudQuota a program can rehearse how it behaves at the limits of a cloud service.
package throttle

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"strongroom.example/vault"
)

// A Rate is a limit. The zero value is no limit.
type Rate struct {
	// PerSecond is the number of operations in a second.
	PerSecond float64
	// Burst is the number of operations that may come at once; 0 means those of one second,
	// and at least one.
	Burst int
}

// A Class is a group of operations that share a limit.
type Class string

// The classes.
const (
	// Symmetric: Encrypt, Decrypt, ReEncrypt and data keys.
	Symmetric Class = "SYMMETRIC"
	Sign      Class = "SIGN"
	Verify    Class = "VERIFY"
	// AsymmetricDecrypt: decryption with a private key.
	AsymmetricDecrypt Class = "ASYMMETRIC_DECRYPT"
	// MAC: GenerateMac and VerifyMac.
	MAC       Class = "MAC"
	Random    Class = "RANDOM"
	PublicKey Class = "PUBLIC_KEY"
	// Manage: all other operations.
	Manage Class = "MANAGE"
)

// ClassOf returns the class of an operation.
func ClassOf(op vault.Operation) Class {
	switch op {
	case vault.OpEncrypt, vault.OpDecrypt, vault.OpReEncryptFrom, vault.OpReEncryptTo, vault.OpGenerateDataKey,
		vault.OpGenerateDataKeyWithoutPlaintext, vault.OpOpenDataKey, vault.OpDecryptTo, vault.OpGenerateDataKeyTo,
		vault.OpGenerateDataKeyPair, vault.OpGenerateDataKeyPairWithoutPlaintext,
		vault.OpCreateDataKey, vault.OpImportDataKey, vault.OpImportDataKeyCiphertext, vault.OpOpenNamedDataKey, vault.OpOpenNamedDataKeyTo:
		return Symmetric
	case vault.OpSign:
		return Sign
	case vault.OpVerify:
		return Verify
	case vault.OpAsymmetricDecrypt:
		return AsymmetricDecrypt
	case vault.OpGenerateMac, vault.OpVerifyMac:
		return MAC
	case vault.OpGenerateRandom:
		return Random
	case vault.OpPublicKey, vault.OpAsymmetricEncrypt:
		return PublicKey
	}
	return Manage
}

// Config sets the limits. The zero value limits nothing.
type Config struct {
	// Principal limits each principal by itself.
	Principal Rate
	// Classes limit the operations of a class by all principals together.
	Classes map[Class]Rate
	// Drivers limit the operations on CMKs of a driver, by all principals together.
	Drivers map[string]Rate
	// RotateEvery is the least time between two rotations of one CMK. It is not remembered
	// across a restart.
	RotateEvery time.Duration
}

// CloudQuota returns the default quotas that Tencent Cloud KMS publishes: 300 symmetric
// operations in a second, 100 signatures, verifications and public keys, 200 decryptions with
// a private key, 150 calls for random bytes, and one rotation of a CMK in 24 hours.
func CloudQuota() Config {
	return Config{
		Classes: map[Class]Rate{
			Symmetric: {PerSecond: 300}, Sign: {PerSecond: 100}, Verify: {PerSecond: 100}, PublicKey: {PerSecond: 100},
			AsymmetricDecrypt: {PerSecond: 200}, Random: {PerSecond: 150},
		},
		RotateEvery: 24 * time.Hour,
	}
}

// A Limiter implements vault.Limiter. It is safe for concurrent use.
type Limiter struct {
	cfg Config

	mu         sync.Mutex
	classes    map[Class]*rate.Limiter
	drivers    map[string]*rate.Limiter
	principals map[vault.Principal]*rate.Limiter
	others     *rate.Limiter // of the principals beyond maxPrincipals
	swept      time.Time     // when principals with a full bucket were last forgotten
	rotated    map[string]time.Time
}

// maxPrincipals is how many principals have a limiter of their own.
const maxPrincipals = 4096

// New returns a Limiter.
func New(cfg Config) *Limiter {
	l := &Limiter{
		cfg: cfg, classes: map[Class]*rate.Limiter{}, drivers: map[string]*rate.Limiter{},
		principals: map[vault.Principal]*rate.Limiter{}, others: cfg.Principal.limiter(), rotated: map[string]time.Time{},
	}
	for class, r := range cfg.Classes {
		l.classes[class] = r.limiter()
	}
	for name, r := range cfg.Drivers {
		l.drivers[name] = r.limiter()
	}
	return l
}

// limiter returns a full bucket, or nil for no limit.
func (r Rate) limiter() *rate.Limiter {
	if r.PerSecond <= 0 {
		return nil
	}
	burst := r.Burst
	if burst <= 0 {
		burst = max(1, int(math.Ceil(r.PerSecond)))
	}
	return rate.NewLimiter(rate.Limit(r.PerSecond), burst)
}

// Limit implements vault.Limiter. An operation above one limit counts for none of the others.
func (l *Limiter) Limit(r vault.Request) time.Duration { return l.ask(r, true) }

// Forecast implements vault.LimitForecaster.
func (l *Limiter) Forecast(r vault.Request) time.Duration { return l.ask(r, false) }

// ask returns how long an operation has to wait. It counts an operation that need not, if count
// is set.
func (l *Limiter) ask(r vault.Request, count bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := l.rotation(r)
	var taken []*rate.Reservation
	for _, one := range []*rate.Limiter{l.principal(r), l.classes[ClassOf(r.Operation)], l.drivers[r.KeyDriver]} {
		if one == nil {
			continue
		}
		got := one.ReserveN(r.Time, 1)
		wait = max(wait, got.DelayFrom(r.Time))
		taken = append(taken, got)
	}
	if wait > 0 || !count {
		for _, one := range taken {
			one.CancelAt(r.Time)
		}
		return wait
	}
	if r.Operation == vault.OpRotateKey && l.cfg.RotateEvery > 0 {
		l.rotated[r.Key] = r.Time
	}
	return 0
}

// rotation returns how long a rotation has to wait, and forgets those that no longer matter.
func (l *Limiter) rotation(r vault.Request) time.Duration {
	if r.Operation != vault.OpRotateKey || l.cfg.RotateEvery <= 0 {
		return 0
	}
	for key, at := range l.rotated {
		if r.Time.Sub(at) >= l.cfg.RotateEvery {
			delete(l.rotated, key)
		} else if at.After(r.Time) { // SetTimeBack was called
			l.rotated[key] = r.Time
		}
	}
	if at, ok := l.rotated[r.Key]; ok {
		return l.cfg.RotateEvery - r.Time.Sub(at)
	}
	return 0
}

// principal returns the limiter of the caller. If there are too many principals it first
// forgets those whose bucket is full.
func (l *Limiter) principal(r vault.Request) *rate.Limiter {
	if l.others == nil {
		return nil
	}
	if one, ok := l.principals[r.Principal]; ok {
		return one
	}
	if len(l.principals) >= maxPrincipals && r.Time.Sub(l.swept).Abs() >= time.Second {
		l.swept = r.Time
		for name, one := range l.principals {
			if one.TokensAt(r.Time) >= float64(one.Burst()) {
				delete(l.principals, name)
			}
		}
	}
	if len(l.principals) >= maxPrincipals {
		return l.others
	}
	one := l.cfg.Principal.limiter()
	l.principals[r.Principal] = one
	return one
}
