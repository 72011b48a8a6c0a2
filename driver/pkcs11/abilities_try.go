//go:build cgo && unix

package pkcs11

import (
	"errors"
	"time"

	"strongroom.example/driver"
)

// tries is how often a trial is made that fails in a way that may pass, and pause what
// the token is given before the second.
const (
	tries = 3
	pause = 20 * time.Millisecond
)

// try notes whether a trial succeeds. A fault that may pass is no finding: the trial
// is made again in another session. Where it stays, it ends the examination of a token
// that is not well; of one that is, it is believed, this time.
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

// note adds a finding and reports whether it is good.
func (x *examination) note(ability string, err error) bool {
	f := Finding{Ability: ability, Works: err == nil}
	if err != nil {
		f.Note = err.Error()
	}
	x.findings = append(x.findings, f)
	return err == nil
}

// passes reports whether a trial that failed so may succeed the next time.
func passes(err error) bool {
	v := judge(err)
	return v.cure != nothing || v.class == driver.Throttled || errors.Is(err, errPolicy)
}

// well reports whether the examination's own session is there and logged in.
func (x *examination) well() bool {
	in, err := x.keys.loggedIn()
	return err == nil && (in || x.epoch.noLogin)
}

// another gives the examination a new session. One that has no more than its first
// goes on in that.
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

// leave closes the session that keys are used in, if it is one of its own.
func (x *examination) leave() {
	if x.handle != x.keys.handle {
		x.mod.ctx.CloseSession(x.handle)
	}
	x.session.handle = x.keys.handle
}
