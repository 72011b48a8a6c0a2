//go:build cgo && unix

package pkcs11

import (
	"time"

	p11 "github.com/miekg/pkcs11"
)

// A session is a session of a token, used by one goroutine at a time: two in one
// session crash some modules.
type session struct {
	mod    *module
	handle p11.SessionHandle
	epoch  *epoch
	calls  int       // since rested
	rested time.Time // when its user let others run
}

// shift is how long short calls follow upon each other before their goroutine lets
// others run. Go's scheduler looks after goroutines that run for 10 ms without a
// pause: one that it then finds in C it takes off its processor, and it wakes every
// 20 µs to do so again, beside the calls. That cost a twentieth of SoftHSM's
// throughput. A goroutine that pauses in time is left alone; a tenth of that time, since
// sessions change hands, and what one of them counts is not one goroutine's work. Long
// calls want to be noticed, so that others run meanwhile.
const (
	shift = time.Millisecond
	short = 16 // so many calls in two shifts, or they are not short
)

// tired reports, after a call, whether the session's user should let others run. If
// the calls took two shifts there were pauses, or they were not short.
func (s *session) tired() bool {
	if s.calls++; s.calls%short != 0 {
		return false
	}
	worked := time.Since(s.rested)
	if worked < shift {
		return false
	}
	s.calls, s.rested = 0, time.Now()
	return worked < 2*shift
}

// loggedIn reports what the session says of its login.
func (s session) loggedIn() (bool, error) {
	info, err := s.mod.ctx.GetSessionInfo(s.handle)
	return info.State == p11.CKS_RW_USER_FUNCTIONS, from("C_GetSessionInfo", err)
}
