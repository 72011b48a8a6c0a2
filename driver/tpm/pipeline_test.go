package tpm_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
)

// A stream is a set of concurrent callers of fast keys, who keep the TPM busy.
type stream struct {
	keys []driver.PRF
	want [][]byte
}

func newStream(t *testing.T, d *tpm.Driver) *stream {
	t.Helper()
	d.SetQuick(time.Hour) // a command takes longer than usual on a busy machine
	s := new(stream)
	for range 2 {
		k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
		for range 8 {
			prf(t, k) // the queue learns the duration
		}
		s.keys, s.want = append(s.keys, k), append(s.want, prf(t, k))
	}
	return s
}

// run makes calls from eight callers, and returns how many failed in the allowed way.
func (s *stream) run(t *testing.T, calls int, allowed error) (failed int64) {
	t.Helper()
	var bad atomic.Int64
	wait := background(8, func() error {
		for i := range calls {
			out, err := s.keys[i%2].PRF(context.Background(), nil, []byte("question"))
			switch {
			case err != nil && allowed != nil && errors.Is(err, allowed):
				bad.Add(1)
			case err != nil:
				return err
			case !bytes.Equal(out, s.want[i%2]):
				return errOtherResult
			}
		}
		return nil
	})
	if err := errors.Join(wait()...); err != nil {
		t.Error(err)
	}
	return bad.Load()
}

// TestPipeline checks that a busy TPM gets one command for each call, and a second session
// once.
func TestPipeline(t *testing.T) {
	d, w, _ := openWired(t)
	s := newStream(t, d)
	before := w.Count()
	s.run(t, 50, nil)
	if n := w.Count() - before; n > 8*50+2 {
		t.Errorf("%d concurrent calls sent %d commands", 8*50, n)
	}
	for range 20 { // a pipeline needs calls that wait at the same time
		if loadedHandles(t, d) == 4 {
			return
		}
		s.run(t, 50, nil)
	}
	t.Error("no pipeline took place: want two keys and two sessions in the TPM")
}

// TestPipelineRecovers breaks a pipeline by temporary faults. No call may fail.
func TestPipelineRecovers(t *testing.T) {
	d, w, chip := openWired(t)
	s := newStream(t, d)
	for name, trouble := range map[string]func(){
		"a connection lost before a command": func() { w.Break(hmacCommand, 20, false) },
		"a connection lost after a command":  func() { w.Break(hmacCommand, 20, true) },
		"a TPM that needs time":              func() { w.Answer(hmacCommand, 20, 0x922, 0x908, 0x90A) },
		"a TPM that is full":                 func() { w.Answer(hmacCommand, 20, 0x902) },
		"a session that is gone":             func() { w.Answer(hmacCommand, 20, 0x918) },
		"a TPM that is full of sessions":     func() { w.Break(0, 0, false); w.Answer(0x176, 1, 0x903) },
		"a reset": func() {
			if err := chip.Reset(); err != nil {
				t.Fatal(err)
			}
		},
		"sessions that are old": d.AgeSession,
	} {
		trouble()
		s.run(t, 20, nil)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestPipelineForgedResponse changes responses in a pipeline. The call whose response was
// changed must fail, and every other call must have the right result.
func TestPipelineForgedResponse(t *testing.T) {
	var f corrupter
	d := openConfig(t, f.config(newTPM(t)))
	s := newStream(t, d)
	for at := 14; at < 40; at += 5 {
		set := make(chan struct{})
		time.AfterFunc(time.Millisecond, func() { f.corrupt(hmacCommand, flipAt(at)); close(set) })
		if failed := s.run(t, 50, driver.Unknown); failed > 1 {
			t.Errorf("%d calls failed after one response was changed, want at most 1", failed)
		}
		<-set // it may have been late
		f.corrupt(0, nil)
	}
}

// TestPipelineYieldsToUrgent checks that an urgent call precedes many waiting ones.
func TestPipelineYieldsToUrgent(t *testing.T) {
	d, w, _ := openWired(t)
	s := newStream(t, d)
	w.Record(true)
	release := w.Hold(hmacCommand)
	defer release()
	held := occupied(t, w, func() error {
		_, err := s.keys[0].PRF(context.Background(), nil, []byte("question"))
		return err
	})
	stream := background(1, func() error { s.run(t, 200, nil); return nil })
	waiting(t, d, 8)
	health := background(1, func() error {
		_, err := d.Health(context.Background())
		return err
	})
	waiting(t, d, 9)
	release()
	if err := errors.Join(append(append(held(), stream()...), health()...)...); err != nil {
		t.Fatal(err)
	}
	log := w.Log()
	if last := log[len(log)-1].Code(); last != hmacCommand {
		t.Errorf("Health was served after all waiting calls: the last command is %x", last)
	}
}
