package soft

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/crypto/argon2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// PassphraseParams is the work that a passphrase costs. Its zero value is what a
// vault should use; lighter parameters are for tests.
type PassphraseParams struct {
	// Memory in KiB (0: 65,536, which is 64 MiB; at most 1 GiB) and Time in passes
	// (0: 3; at most 16) are for Argon2id (RFC 9106), the Standard edition's.
	Memory, Time uint32
	// Iterations (0: 600,000; at most 10,000,000) are for PBKDF2 (SP 800-132), with
	// HMAC-SHA-256 in the FIPS and HMAC-SM3 in the SM edition.
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
	passphrase []byte
	params     PassphraseParams
}

var _ driver.Protector = (*PassphraseProtector)(nil)

// Passphrase makes a protector with the default work. It keeps a copy of
// passphrase until Wipe, taken byte for byte: the same passphrase typed in another
// Unicode form is another. With an empty one Protect and Recover answer Invalid.
func Passphrase(passphrase []byte) *PassphraseProtector {
	return PassphraseParams{}.Passphrase(passphrase)
}

// Passphrase is the function Passphrase with the work p for Protect. Recover does
// the work that the blob demands, up to the limits.
func (p PassphraseParams) Passphrase(passphrase []byte) *PassphraseProtector {
	return &PassphraseProtector{passphrase: slices.Clone(passphrase), params: p}
}

// Wipe zeroes the passphrase; the protector is then as if it were empty. Not while
// another call runs.
func (p *PassphraseProtector) Wipe() {
	suite.Wipe(p.passphrase)
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

// Protect wraps root. It takes the time and memory of the parameters; beyond the
// limits they are Invalid.
func (p *PassphraseProtector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	const op = "Protect"
	if err := p.ready(ctx, op); err != nil {
		return nil, err
	}
	w := p.params.work(b.Edition)
	if !w.sane() {
		return nil, fault(op, driver.Invalid, errWork)
	}
	return protect(shape{kindPassphrase, w}, b, p.stretch, root)
}

// Recover appends the root to dst.
func (p *PassphraseProtector) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	if err := p.ready(ctx, "Recover"); err != nil {
		return nil, err
	}
	return recoverRoot(dst, sealedRoot{kindPassphrase, b, blob}, p.stretch)
}

func (p *PassphraseProtector) ready(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(p.passphrase) == 0 {
		return fault(op, driver.Invalid, errEmpty)
	}
	return nil
}

// stretch makes a 32-byte key of the passphrase. The memory that Argon2id fills is
// on the heap and not wiped.
func (p *PassphraseProtector) stretch(w work, salt []byte) []byte {
	switch w.kdf {
	case kdfArgon2id:
		return argon2.IDKey(p.passphrase, salt, w.time, w.memory, 1, stretched)
	case kdfPBKDF2SM3:
		return suite.SM.PBKDF2(p.passphrase, salt, int(w.time), stretched)
	}
	return suite.AES.PBKDF2(p.passphrase, salt, int(w.time), stretched)
}
