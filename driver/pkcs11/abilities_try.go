//go:build cgo && unix

package pkcs11

import (
	"errors"

	"strongroom.example/driver"
)

// tries is how often a trial is made that fails in a way that may pass.
const tries = 3

// try notes whether a trial succeeds. A fault that may pass is no finding: the trial
// is made again in another session. Where it stays, a token that says so of itself
// ends the examination, and one whose code may as well mean that it cannot is believed,
// this time.
func (x *examination) try(ability string, trial func() error) bool {
	if x.ended != nil {
		return false
	}
	err := trial()
	for n := 1; err != nil && n < tries && passes(err); n++ {
		if x.ended = x.another(); x.ended != nil {
			return false
		}
		err = trial()
	}
	if err != nil && lasts(err) {
		x.ended = err
		return false
	}
	if err != nil {
		x.doubtful = x.doubtful || judge(err).cure == doubt
		x.ended = x.another()
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

// lasts reports whether an error that did not pass speaks of the token's state.
func lasts(err error) bool {
	v := judge(err)
	return v.cure == again || v.cure == renewal || v.class == driver.Throttled
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
