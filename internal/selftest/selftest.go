// Package selftest checks, before a vault is created or opened, that the cryptography of
// this build computes the results of the standards. The vault's primitives come from
// other libraries, differ by processor, and are wiped by methods that those libraries do
// not offer. A fault there would seal data that no other build can open, or that every
// key opens.
package selftest

import (
	"errors"
	"fmt"
	"sync"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// ErrFailed is the error of a failed self-test. The error text names the primitive.
var ErrFailed = errors.New("selftest: a cryptographic primitive of this process computes wrong results")

// Edition tests every primitive of an edition: those of its suite, the stretching of
// passphrases, and AES key wrapping. It runs once in a process; later calls return the
// same result.
func Edition(e driver.Edition) error {
	switch e {
	case driver.Standard:
		return standard()
	case driver.FIPS:
		return fips()
	case driver.SM:
		return sm()
	}
	return fmt.Errorf("%w: edition %d is not known", ErrFailed, e)
}

// Suite tests the primitives of a suite. It runs once in a process.
func Suite(id suite.ID) error {
	switch id {
	case suite.AES:
		return aesSuite()
	case suite.SM:
		return smSuite()
	}
	return fmt.Errorf("%w: %v is not known", ErrFailed, id)
}

var (
	aesSuite = sync.OnceValue(func() error { return run(primitivesOf(suite.AES), suiteChecks) })
	smSuite  = sync.OnceValue(func() error { return run(primitivesOf(suite.SM), suiteChecks) })

	standard = edition(suite.AES, argon2Check, keyWrapCheck)
	fips     = edition(suite.AES, pbkdf2Check, keyWrapCheck)
	sm       = edition(suite.SM, pbkdf2Check, keyWrapCheck)
)

// edition returns the self-test of an edition: its suite and further checks.
func edition(id suite.ID, further ...check) func() error {
	return sync.OnceValue(func() error {
		if err := Suite(id); err != nil {
			return err
		}
		return run(primitivesOf(id), further)
	})
}

// run runs the checks until one fails. A panic in a primitive is a failure.
func run(p primitives, checks []check) (err error) {
	for _, c := range checks {
		if err := c.run(p); err != nil {
			return fmt.Errorf("%w: %s of %v: %w", ErrFailed, c.name, p.id, err)
		}
	}
	return nil
}

// run runs the check, and returns a panic as an error.
func (c check) run(p primitives) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("it panics: %v", fault)
		}
	}()
	return c.test(p)
}
