package tpm

import (
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/suite"
)

// quick is the longest expected time of a question for which the driver prepares the next
// one in advance. Preparing saves microseconds and needs a second session, so that a slow
// chip would not gain from it.
const quick = time.Millisecond

// A flight is a question that was prepared, and later sent.
type flight struct {
	job     *job
	session *session
	command command
	answer  []byte
	err     error
}

// flow runs questions one after the other, beginning with one that was already sent.
// While the TPM works on a question, the driver parses the response before it and
// prepares the question after it, so that the TPM is never idle. Two sessions alternate,
// because the nonces of a session are known only after its response. A flow ends when no
// other question waits, or at the first error, which it leaves to perform.
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
			next = d.follow(d.device.other(now.session)) // a question that arrived during the wait
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

// begin sends a prepared question.
func (d *Driver) begin(f *flight) *flight {
	d.queue.begin(f.job)
	d.device.link.ctx = f.job.ctx
	f.err = d.device.link.begin(f.session.buf)
	return f
}

// launch begins a flow, if this connection has had one already.
func (d *Driver) launch() *flight {
	if f := d.follow(d.device.session); f != nil {
		return d.begin(f)
	}
	return nil
}

// flows reports whether a job begins a flow: it is a question, other calls wait, and the
// TPM is fast and ready.
func (d *Driver) flows(j *job) bool {
	dev := d.device
	dev.link.ctx = j.ctx
	return dev.fluent(j) && d.queue.waitingNow() > 0 && dev.ready() == nil && dev.pair() && dev.loaded(j.key)
}

// fluent reports whether a job can be part of a flow.
func (d *device) fluent(j *job) bool {
	return j.ask != nil && d.loaded(j.key) && j.takes > 0 && j.takes < quick
}

func (d *device) loaded(r *resident) bool { return r.handle != 0 }

// follow prepares the next question in a free session. It returns nil if the next job is
// not part of a flow.
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

// other returns the session that alternates with s.
func (d *device) other(s *session) *session {
	if s == d.session {
		return d.second
	}
	return d.session
}

// prepare marshals the question of a job in a session.
func (d *device) prepare(j *job, s *session) *flight {
	f := &flight{job: j, session: s, command: j.ask.command}
	d.slots.touch(j.key)
	f.command.handles, f.command.session = []entity{j.key.entity()}, s
	s.buf = f.command.append(s.buf[:0], s.secret(f.command.auth))
	return f
}

// good reports whether the TPM executed the command.
func (f *flight) good() bool {
	return f.err == nil && responseCode(f.answer) == tpm2.TPMRCSuccess
}

// land parses the response of a question and finishes its job. After an error it repeats
// the job by mend.
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
