//go:build cgo && unix

package pkcs11

import (
	"errors"
	"time"

	"strongroom.example/driver"
)

// tries is how often a trial with a temporary error is made, and pause is the wait before
// the second attempt. It doubles for each later attempt.
const (
	tries = 3
	pause = 20 * time.Millisecond
)

// try runs a trial and records whether it succeeds. A temporary error is not a finding:
// the trial is repeated in another session. If it persists and the token's session is not
// well, it ends the examination; otherwise it is recorded as a finding, but not
// remembered for the next driver.
func (x *examination) try(ability string, trial func() error) bool {
	if x.ended != nil {
		return false
	}
	err := trial()
	for n := 0; err != nil && n < tries-1 && passes(err); n++ {
		time.Sleep(pause << n)
		if ended := x.another(); ended != nil {
			x.ended = &trialError{ability, ended}
			return false
		}
		err = trial()
	}
	if err != nil {
		if ended := x.another(); ended != nil {
			x.ended = &trialError{ability, ended}
		}
	}
	if err != nil && passes(err) && !errors.Is(err, errPolicy) {
		x.doubtful = err
		if !x.well() {
			x.ended = &trialError{ability, err}
		}
	}
	return x.note(ability, err)
}

// note adds a finding and reports whether the ability works.
func (x *examination) note(ability string, err error) bool {
	f := Finding{Ability: ability, Works: err == nil}
	if err != nil {
		f.Note = err.Error()
	}
	x.findings = append(x.findings, f)
	return err == nil
}

// passes reports whether an error of a trial is temporary.
func passes(err error) bool {
	v := judge(err)
	return v.cure != nothing || v.class == driver.Throttled || errors.Is(err, errPolicy)
}

// well reports whether the examination's own session exists and is logged in.
func (x *examination) well() bool {
	in, err := x.keys.loggedIn()
	return err == nil && (in || x.epoch.noLogin)
}

// another gives the examination a new session. If the token has no more sessions, it
// continues in the first one.
func (x *examination) another() error {
	x.leave()
	s, err := x.mod.open(x.epoch.slot)
	if full(err) {
		return nil
	}
	if err != nil {
		return err
	}
	x.session.handle = s
	return nil
}

// leave closes the session in which keys are used, unless it is the first one.
func (x *examination) leave() {
	if x.handle != x.keys.handle {
		x.mod.ctx.CloseSession(x.handle)
	}
	x.session.handle = x.keys.handle
}
