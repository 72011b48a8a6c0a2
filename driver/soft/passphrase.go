package soft

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"golang.org/x/crypto/argon2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// PassphraseParams is the amount of work to stretch a passphrase. Its zero value is what
// a vault should use; smaller amounts are for tests.
type PassphraseParams struct {
	// Memory (in KiB; 0 means 65,536, which is 64 MiB; at most 1 GiB) and Time (in
	// passes; 0 means 3; at most 16) are the parameters of Argon2id (RFC 9106), which the
	// Standard edition uses.
	Memory, Time uint32
	// Iterations (0 means 600,000; at most 10,000,000) is the parameter of PBKDF2 (SP
	// 800-132), with HMAC-SHA-256 in the FIPS edition and HMAC-SM3 in the SM edition.
	Iterations uint32
}

const (
	maxMemory     = 1 << 20
	maxTime       = 16
	maxIterations = 10_000_000
)

// A PassphraseProtector wraps a root under a passphrase. It is of kind
// "passphrase".
type PassphraseProtector struct {
	redacted
	passphrase *keptSecret
	params     PassphraseParams
}

var _ driver.Protector = (*PassphraseProtector)(nil)

// Passphrase returns a protector with the default work. It copies passphrase into locked
// memory, or onto the heap if the process can lock none, until Wipe; the caller wipes
// passphrase. The bytes are used unchanged: the same text in another Unicode normalization
// form is another passphrase. If passphrase is empty, Protect and Recover fail with
// Invalid.
func Passphrase(passphrase []byte) *PassphraseProtector {
	return PassphraseParams{}.Passphrase(passphrase)
}

// Passphrase is like the function Passphrase, with the work p for Protect. Recover does
// the work that the blob demands, up to the limits of PassphraseParams.
func (p PassphraseParams) Passphrase(passphrase []byte) *PassphraseProtector {
	kept := keepSecret(len(passphrase), func(b []byte) { copy(b, passphrase) })
	return &PassphraseProtector{passphrase: kept, params: p}
}

// Wipe zeroes the passphrase. Protect and Recover then fail with Invalid. Wipe must not
// be called while another call runs.
func (p *PassphraseProtector) Wipe() {
	p.passphrase.wipe()
	p.passphrase = nil
}

// Kind returns "passphrase".
func (*PassphraseProtector) Kind() string { return "passphrase" }

// MachineBound returns false.
func (*PassphraseProtector) MachineBound() bool { return false }

var (
	errEmpty = errors.New("the passphrase is empty")
	errWork  = errors.New("parameters beyond the limits")
)

// Protect wraps root, with the work of the parameters. Parameters beyond the limits are
// Invalid. If ctx ends, Protect returns as Recover does.
func (p *PassphraseProtector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	const op = "Protect"
	if err := p.ready(ctx, op); err != nil {
		return nil, err
	}
	w := p.params.work(b.Edition)
	if !w.sane() {
		return nil, fault(op, driver.Invalid, errWork)
	}
	return protect(shape{kindPassphrase, w}, b, p.stretching(ctx), root)
}

// Recover appends the root to dst. It returns the context's error as soon as ctx ends.
// The stretching that has begun cannot be stopped: it continues in the background, with
// its memory and a copy of the passphrase that is wiped at its end. At most two
// stretchings run in a process at a time; a further call waits for one of them to end.
func (p *PassphraseProtector) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	if err := p.ready(ctx, "Recover"); err != nil {
		return nil, err
	}
	return recoverRoot(dst, sealedRoot{kindPassphrase, b, blob}, p.stretching(ctx))
}

var _ driver.WorkEstimator = (*PassphraseProtector)(nil)

// Work implements driver.WorkEstimator.
func (p *PassphraseProtector) Work(b driver.Binding, blob driver.Blob) uint64 {
	id, err := suiteOf("Work", b.Edition)
	if err != nil {
		return 0
	}
	s, ok := parseHeader(id, b, blob)
	if !ok || s.kind != kindPassphrase || s.work.kdf != passphraseKDF(b.Edition) || !s.work.sane() {
		return 0
	}
	return s.work.units()
}

func (p *PassphraseProtector) ready(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(p.passphrase.bytes()) == 0 {
		return fault(op, driver.Invalid, errEmpty)
	}
	return nil
}

// stretchers limits the number of concurrent stretchings in the process, including those
// that continue after their context has ended, because each may take 1 GiB.
var stretchers = make(chan struct{}, 2)

// stretching returns a stretcher that returns early when ctx ends.
func (p *PassphraseProtector) stretching(ctx context.Context) stretcher {
	return func(w kdfWork, salt []byte) ([]byte, error) {
		select {
		case stretchers <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer runtime.KeepAlive(p.passphrase) // or the passphrase could be wiped during the call
		if ctx.Done() == nil {
			defer func() { <-stretchers }()
			return stretch(p.passphrase.bytes(), w, salt), nil
		}
		passphrase := keepSecret(len(p.passphrase.bytes()), func(b []byte) { copy(b, p.passphrase.bytes()) })
		salt = slices.Clone(salt)
		done := make(chan []byte, 1)
		go func() {
			defer func() { <-stretchers }()
			defer passphrase.wipe()
			done <- stretch(passphrase.bytes(), w, salt)
		}()
		select {
		case key := <-done:
			return key, nil
		case <-ctx.Done():
			go func() { suite.Wipe(<-done) }()
			return nil, ctx.Err()
		}
	}
}

// stretch derives a 32-byte key from a passphrase; the caller wipes it. The memory that
// Argon2id fills, and its hash state, which holds the passphrase, are on the heap and are
// not wiped.
func stretch(passphrase []byte, w kdfWork, salt []byte) (key []byte) {
	suite.OnClearedStack(func() {
		switch w.kdf {
		case kdfArgon2id:
			key = argon2.IDKey(passphrase, salt, w.time, w.memory, 1, stretched)
		case kdfPBKDF2SM3:
			key = suite.SM.PBKDF2(passphrase, salt, int(w.time), stretched)
		default:
			key = suite.AES.PBKDF2(passphrase, salt, int(w.time), stretched)
		}
	})
	return key
}
