package bench

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// swtpm returns the software TPM, which is about a hundred times as fast as a chip.
func swtpm(f forever) testDevice { return testDevice{Device: chipDevice(f, "swtpm", nil)} }

// chipDevice returns a software TPM, or one whose commands take as long as delay says.
func chipDevice(t testing.TB, name string, delay func(command uint32) time.Duration) Device {
	w := testtoken.NewWire(testtoken.NewSWTPM(t).Dial)
	w.Delay(delay)
	return Device{Name: name, Open: openTPM(w.Dial), Raw: func(b *testing.B, k Key, alg string) Baseline {
		return rawTPM(b, k, alg, delay)
	}}
}

func openTPM(dial func() (testtoken.Conn, error)) func(context.Context) (driver.Driver, error) {
	return func(ctx context.Context) (driver.Driver, error) {
		return tpm.Open(ctx, tpm.Config{Dial: func() (transport.TPMCloser, error) { return dial() }})
	}
}

// A recording is a sequence of operations that a driver sent to a TPM, of one command each.
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

// rawTPM records an operation on a TPM of its own, and returns the replay. It returns nil
// for an operation with more than one command.
func rawTPM(b *testing.B, k Key, alg string, delay func(uint32) time.Duration) Baseline {
	b.Helper()
	chip := testtoken.NewSWTPM(b)
	w := testtoken.NewWire(chip.Dial)
	d := must(openTPM(w.Dial)(b.Context()))
	defer d.Close()
	m := &opened{driver: d, keys: make(map[driver.KeySpec]Key)}
	own := m.key(b, k.Row)
	do := map[driver.Usage]func() act{
		driver.Derive:  func() act { return prfAct(own) },
		driver.Sign:    func() act { return signAct(own, driver.SignAlg(alg)) },
		driver.Decrypt: func() act { return decryptAct(own, driver.EncryptAlg(alg)) },
	}[k.Row.Spec.Usage]()
	dst := make([]byte, 0, 1024)
	once := func() {
		if err := do(b.Context(), dst); err != nil {
			b.Fatal(err)
		}
	}
	begun := time.Now()
	once()
	once()
	calls := min(3000, max(12, int(100*time.Millisecond/(time.Since(begun)/2))))
	if delay != nil {
		calls = 12
	}
	r := recording{from: chip.Freeze(b), delay: delay}
	w.Record(true)
	for range calls {
		once()
	}
	if r.log = w.Log(); len(r.log) != calls {
		return nil
	}
	return r.play
}

// play replays the recording with a number of callers on one wire, once.
func (r recording) play(b *testing.B, callers int, _ time.Duration) Cost {
	b.Helper()
	chip := r.from.Thaw(b)
	defer chip.Kill()
	w := testtoken.NewWire(chip.Dial)
	w.Delay(r.delay)
	c := must(w.Dial())
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
	warm := len(r.log) / 3 / callers * callers // a fresh process is slower in the beginning
	if err := appendAll(callers, warm, send); err != nil {
		b.Fatal(err)
	}
	from, measured := time.Now(), (len(r.log)-warm)/callers*callers
	if err := appendAll(callers, measured, send); err != nil {
		b.Fatal(err)
	}
	took := time.Since(from)
	for i, answer := range answers {
		if want := r.log[i].Response; !sameWork(answer, want) {
			b.Fatalf("command %d had another response in the replay: %x, not %x", i, answer, want)
		}
	}
	return Cost{Wall: took / time.Duration(measured)}
}

// sameWork reports whether two responses are successes of the same length with the same
// nonce: the TPM accepted the session and continued it. Signatures differ, because swtpm
// draws their random numbers from another source.
func sameWork(a, b []byte) bool {
	const head, nonce, tail = 10, 32, 32 + 1 + 2 + 32
	return len(a) == len(b) && len(a) > head+tail && bytes.Equal(a[:head], b[:head]) &&
		bytes.Equal(a[len(a)-tail:][:nonce], b[len(b)-tail:][:nonce])
}
