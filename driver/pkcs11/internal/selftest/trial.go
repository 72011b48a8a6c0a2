//go:build cgo && unix

package selftest

import (
	"errors"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
)

// tries is how often a trial with a temporary error is made, and pause is the wait before
// the second attempt. It doubles for each later attempt.
const (
	tries = 3
	pause = 20 * time.Millisecond
)

// try runs a trial and records whether it succeeds. A temporary error is not a finding:
// the trial is repeated in another session. If it persists and the token's session does
// not work, it ends the self-test; otherwise it is recorded as a finding, but not
// remembered for the next driver.
func (x *run) try(ability string, trial func() error) bool {
	if x.ended != nil {
		return false
	}
	err := trial()
	for n := 0; err != nil && n < tries-1 && isTransient(err); n++ {
		time.Sleep(pause << n)
		if ended := x.newSession(); ended != nil {
			x.ended = &cryptoki.AbilityError{Ability: ability, Err: ended}
			return false
		}
		err = trial()
	}
	if err != nil {
		if ended := x.newSession(); ended != nil {
			x.ended = &cryptoki.AbilityError{Ability: ability, Err: ended}
		}
	}
	if err != nil && isTransient(err) && !errors.Is(err, object.ErrNotAsRequested) {
		x.Inconclusive = err
		if !x.healthy() {
			x.ended = &cryptoki.AbilityError{Ability: ability, Err: err}
		}
	}
	return x.record(ability, err)
}

// record adds a finding and reports whether the ability works.
func (x *run) record(ability string, err error) bool {
	f := Finding{Ability: ability, Works: err == nil}
	if err != nil {
		f.Note = err.Error()
	}
	x.Findings = append(x.Findings, f)
	return err == nil
}

// isTransient reports whether an error of a trial is temporary.
func isTransient(err error) bool {
	v := cryptoki.Classify(err)
	return v.Recovery != cryptoki.None || v.Class == driver.Throttled || errors.Is(err, object.ErrNotAsRequested)
}

// healthy reports whether the self-test's first session exists and is logged in.
func (x *run) healthy() bool {
	in, err := x.keys.LoggedIn()
	return err == nil && (in || x.Epoch.NoLogin)
}

// newSession gives the self-test a new session. If the token has no more sessions, it
// continues in the first one.
func (x *run) newSession() error {
	x.leave()
	s, err := x.Lib.Open(x.Epoch.Slot)
	if cryptoki.NoMoreSessions(err) {
		return nil
	}
	if err != nil {
		return err
	}
	x.Session.Handle = s
	return nil
}

// leave closes the session in which keys are used, unless it is the first one.
func (x *run) leave() {
	if x.Handle != x.keys.Handle {
		x.Lib.Ctx.CloseSession(x.Handle)
	}
	x.Session.Handle = x.keys.Handle
}
