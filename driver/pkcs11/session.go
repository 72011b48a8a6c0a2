//go:build cgo && unix

package pkcs11

import (
	"time"

	p11 "github.com/miekg/pkcs11"
)

// A session is a session of a token. Only one goroutine at a time uses it, because
// concurrent calls in one session crash some modules.
type session struct {
	mod    *module
	handle p11.SessionHandle
	epoch  *epoch
	calls  int       // since rested
	rested time.Time // when its user last let others run
}

// shift is how long a goroutine makes short calls without a pause before it lets other
// goroutines run. Go's scheduler watches goroutines that run for 10 ms without a pause.
// If it finds one in C, it takes its processor away, and then wakes every 20 µs to do so
// again, which cost a twentieth of SoftHSM's throughput. A goroutine that pauses in time
// is not affected. shift is a tenth of that time, because sessions change hands and a
// session's count includes the calls of several goroutines. Long calls should be noticed
// by the scheduler, so that other goroutines run during them.
const (
	shift = time.Millisecond
	short = 16 // fewer calls than this in two shifts are not short
)

// tired reports, after a call, whether the caller should let other goroutines run. If the
// calls took two shifts, there were pauses or the calls were not short, and none is
// needed.
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

// loggedIn reports whether the session is logged in, according to the token.
func (s session) loggedIn() (bool, error) {
	info, err := s.mod.ctx.GetSessionInfo(s.handle)
	return info.State == p11.CKS_RW_USER_FUNCTIONS, from("C_GetSessionInfo", err)
}
