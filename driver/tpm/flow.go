package tpm

import (
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/suite"
)

// quick is what a question may take for which the next one is prepared beforehand. That
// saves microseconds and takes a second session: a chip has nothing of it.
const quick = time.Millisecond

// A flight is a question on its way.
type flight struct {
	job     *job
	session *session
	command command
	answer  []byte
	err     error
}

// flow has questions answered one after the other, from one on that was begun. While the
// TPM works on it, the answer before it is taken apart and the question after it is made
// ready, so that the TPM waits for nobody: two sessions take turns, since the nonces of one
// are known only when it has its answer. A flow ends when there is no other question, and
// with the first thing out of the ordinary, which is left to perform.
func (d *Driver) flow(now *flight) {
	var before, next *flight
	for ; now != nil; before, now, next = now, next, nil {
		d.land(before)
		if now.err == nil {
			next = d.follow(d.device.other(now.session))
			d.device.link.ctx = now.job.ctx
			now.answer, now.err = d.device.link.end(now.session.buf)
		}
		if next == nil && now.good() {
			next = d.follow(d.device.other(now.session)) // who came meanwhile
		}
		if next != nil && now.good() {
			d.begin(next)
		} else if next != nil {
			d.land(now)
			d.queue.begin(next.job)
			d.queue.finish(next.job, d.perform(next.job))
			return
		}
	}
	d.land(before)
}

// begin sends a question that is ready.
func (d *Driver) begin(f *flight) *flight {
	d.queue.begin(f.job)
	d.device.link.ctx = f.job.ctx
	f.err = d.device.link.begin(f.session.buf)
	return f
}

// launch begins a flow, if there was one on this connection already.
func (d *Driver) launch() *flight {
	if f := d.follow(d.device.session); f != nil {
		return d.begin(f)
	}
	return nil
}

// flows reports whether a job begins a flow: it is a question, others wait, and the TPM
// is quick and ready.
func (d *Driver) flows(j *job) bool {
	dev := d.device
	dev.link.ctx = j.ctx
	return dev.fluent(j) && d.queue.waitingNow() > 0 && dev.ready() == nil && dev.pair() && dev.loaded(j.key)
}

// fluent reports whether a job can be a part of a flow.
func (d *device) fluent(j *job) bool {
	return j.ask != nil && d.loaded(j.key) && j.takes > 0 && j.takes < quick
}

func (d *device) loaded(r *resident) bool { return r.handle != 0 }

// follow makes the next question ready, in a session that is free. Nil: nothing that
// flows is next.
func (d *Driver) follow(s *session) *flight {
	dev := d.device
	for dev.second != nil && !dev.session.stale() && !dev.second.stale() {
		j := d.queue.peek(dev.loaded, dev.fluent)
		if j == nil {
			return nil
		}
		if err := j.ctx.Err(); err != nil {
			d.queue.finish(j, err)
			continue
		}
		return dev.prepare(j, s)
	}
	return nil
}

// other is the session that another one takes turns with.
func (d *device) other(s *session) *session {
	if s == d.session {
		return d.second
	}
	return d.session
}

// prepare makes a question ready to be sent in a session.
func (d *device) prepare(j *job, s *session) *flight {
	f := &flight{job: j, session: s, command: j.ask.command}
	d.slots.touch(j.key)
	f.command.handles, f.command.session = []entity{j.key.entity()}, s
	s.buf = f.command.append(s.buf[:0], s.secret(f.command.auth))
	return f
}

// good reports whether the TPM executed a command.
func (f *flight) good() bool {
	return f.err == nil && responseCode(f.answer) == tpm2.TPMRCSuccess
}

// land takes an answer apart and tells who asked. What went wrong is mended.
func (d *Driver) land(f *flight) {
	if f == nil {
		return
	}
	dev := d.device
	err := f.err
	if err == nil {
		err = dev.accept(f)
	}
	if err != nil {
		dev.link.ctx = f.job.ctx
		err = dev.mend(f.job.work, err)
	}
	d.queue.finish(f.job, err)
}

func (d *device) accept(f *flight) error {
	rsp, err := f.command.parse(f.answer, f.session.secret(f.command.auth))
	if err != nil {
		return err
	}
	defer suite.Wipe(rsp.params)
	return f.job.ask.take(rsp.params)
}
