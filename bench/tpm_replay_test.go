package bench

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"strongroom.example/internal/testtoken"
)

// A recording is a sequence of operations that a driver sent to a TPM, of one command
// each.
//
// Replaying it is the baseline of a TPM driver. Because a TPM executes one command at a
// time, no driver can be faster than recorded bytes that are sent as soon as the wire is
// free, without computing keys or sessions. The bytes of a session are valid only once.
// They are therefore replayed to a copy of the TPM that was frozen, including its nonces,
// before the recording. The copy does the same work again, command by command, and
// responds with the same nonces; otherwise the measurement fails.
type recording struct {
	from  testtoken.Frozen
	log   []testtoken.Exchange
	delay func(command uint32) time.Duration
}

// play replays the recording with a number of callers on one wire, and returns the time
// per command.
func (r recording) play(b *testing.B, callers int) time.Duration {
	b.Helper()
	chip := r.from.Thaw(b)
	defer chip.Kill()
	c := must(through(chip, r.delay).dial())
	defer c.Close()
	answers := make([][]byte, 0, len(r.log))
	memory := make([]byte, 0, 256*len(r.log))
	var wire sync.Mutex
	send := func() error {
		wire.Lock()
		defer wire.Unlock()
		rsp, err := c.Send(r.log[len(answers)].Command)
		memory = append(memory, rsp...)
		answers = append(answers, memory[len(memory)-len(rsp):])
		return err
	}
	warm := len(r.log) / 3 // a fresh process is slower in the beginning
	if err := share(callers, warm, send); err != nil {
		b.Fatal(err)
	}
	from := time.Now()
	if err := share(callers, len(r.log)-warm, send); err != nil {
		b.Fatal(err)
	}
	took := time.Since(from)
	for i, e := range r.log {
		if !sameWork(answers[i], e.Response) {
			b.Fatalf("command %d had another response in the replay: %x, not %x", i, answers[i], e.Response)
		}
	}
	return took / time.Duration(len(r.log)-warm)
}

// sameWork reports whether two responses are successes of the same length with the same
// nonce: the TPM accepted the session and continued it. Signatures differ, because swtpm
// draws their random numbers from another source.
func sameWork(a, b []byte) bool {
	const head, nonce, tail = 10, 32, 32 + 1 + 2 + 32
	return len(a) == len(b) && len(a) > head+tail && bytes.Equal(a[:head], b[:head]) &&
		bytes.Equal(a[len(a)-tail:][:nonce], b[len(b)-tail:][:nonce])
}

// A path is a connection to a TPM: direct, or over a wire that makes it as slow as a
// chip.
type path struct {
	chip *testtoken.SWTPM
	wire *testtoken.Wire // nil: direct
}

func through(chip *testtoken.SWTPM, delay func(uint32) time.Duration) path {
	if delay == nil {
		return path{chip: chip}
	}
	w := testtoken.NewWire(chip.Dial)
	w.Delay(delay)
	return path{chip, w}
}

func (p path) dial() (testtoken.Conn, error) {
	if p.wire != nil {
		return p.wire.Dial()
	}
	return p.chip.Dial()
}
