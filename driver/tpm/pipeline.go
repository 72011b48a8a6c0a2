package tpm

import (
	"time"

	"strongroom.example/driver/tpm/internal/wire"
)

// quick is the longest expected time of a command for which the driver prepares the next
// one in advance. Preparing saves microseconds and needs a second session, so that a slow
// chip would not gain from it.
const quick = time.Millisecond

// An inflight is a job of one command that was prepared, and later sent.
type inflight struct {
	exchange
	job *job
}

// serve is the goroutine that runs the waiting jobs whenever it gets the TPM.
func (d *Driver) serve() {
	defer close(d.ended)
	for now := range d.turn {
		d.pipeline(now)
		for j := d.queue.Next(); j != nil; j = d.queue.Next() {
			if d.startsPipeline(j) {
				d.pipeline(d.start(d.device.prepareJob(j, d.device.session)))
			} else {
				d.queue.Finish(j, d.runJob(j))
			}
		}
	}
}

// handOver gives the TPM to the serving goroutine. It sends the next command first, if
// possible, because the goroutine takes time to wake.
func (d *Driver) handOver() {
	now := d.prepareNext(d.device.session)
	if now != nil {
		d.start(now)
	}
	d.turn <- now
}

// pipeline runs jobs of one command one after the other, beginning with one that was
// already sent. While the TPM executes a command, the driver parses the response before it
// and prepares the command after it, so that the TPM is never idle. Two sessions
// alternate, because the nonces of a session are known only after its response. A pipeline
// ends when no other such job waits, or at the first error; runJob then runs the job that
// was prepared.
func (d *Driver) pipeline(now *inflight) {
	var before, next *inflight
	for ; now != nil; before, now, next = now, next, nil {
		d.complete(before)
		if now.err == nil {
			next = d.prepareNext(d.device.other(now.command.Session))
			d.device.link.Context = now.job.Ctx
			d.device.receive(&now.exchange)
		}
		if next == nil && now.succeeded() {
			next = d.prepareNext(d.device.other(now.command.Session)) // a job that arrived during the wait
		}
		if next != nil && now.succeeded() {
			d.start(next)
		} else if next != nil {
			d.complete(now)
			d.queue.Begin(next.job)
			d.queue.Finish(next.job, d.runJob(next.job))
			return
		}
	}
	d.complete(before)
}

// startsPipeline reports whether a job starts a pipeline: it is one command, other calls
// wait, and the TPM is fast and ready.
func (d *Driver) startsPipeline(j *job) bool {
	dev := d.device
	dev.link.Context = j.Ctx
	return d.pipelinable(j) && d.queue.Waiting() > 0 && dev.ready() == nil && dev.ensureSecond() && j.Key.Loaded()
}

// pipelinable reports whether a job can be part of a pipeline.
func (d *Driver) pipelinable(j *job) bool {
	return j.Work.act == nil && j.Key.Loaded() && j.Expected() > 0 && j.Expected() < d.quick
}

// prepareNext prepares the next job in a session that no command uses. It returns nil if
// the next job is not part of a pipeline, or if this connection has had no pipeline yet.
func (d *Driver) prepareNext(s *wire.Session) *inflight {
	dev := d.device
	for dev.second != nil && !stale(dev.session) && !stale(dev.second) {
		j := d.queue.TakeIf(d.pipelinable)
		if j == nil {
			return nil
		}
		if err := j.Ctx.Err(); err != nil {
			d.queue.Finish(j, err)
			continue
		}
		return dev.prepareJob(j, s)
	}
	return nil
}

// other returns the session that alternates with s.
func (d *device) other(s *wire.Session) *wire.Session {
	if s == d.session {
		return d.second
	}
	return d.session
}

func (d *device) prepareJob(j *job, s *wire.Session) *inflight {
	return &inflight{d.prepareSingle(j.Work.single, s), j}
}

// start sends the command of a prepared job.
func (d *Driver) start(f *inflight) *inflight {
	d.queue.Begin(f.job)
	d.device.link.Context = f.job.Ctx
	d.device.send(&f.exchange)
	return f
}

// complete parses the response to a job's command and finishes the job. After an error it
// repeats the job, if a repetition can succeed.
func (d *Driver) complete(f *inflight) {
	if f == nil {
		return
	}
	work := f.job.Work
	err := work.single.take(&f.exchange)
	if err != nil {
		d.device.link.Context = f.job.Ctx
		err = d.device.retryAfter(work.runOn, err)
	}
	d.queue.Finish(f.job, err)
}
