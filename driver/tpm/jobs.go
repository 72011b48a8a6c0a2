package tpm

import (
	"context"

	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

// A job is a call that uses the TPM.
type job = queue.Job[work]

// work is what a job does: act, or one command if act is nil.
type work struct {
	act    func(*device) error
	single singleCommand
}

// A singleCommand is a command on a key. The driver can prepare it while the TPM executes
// another.
type singleCommand struct {
	key     *resident
	command wire.Command // without the handle and the session
	parse   func(params []byte) error
}

// runOn runs the work in the TPM. If a session must be renewed or a key loaded, it sends
// further commands.
func (w work) runOn(d *device) error {
	if w.act != nil {
		return w.act(d)
	}
	if _, err := d.use(w.single.key); err != nil {
		return err
	}
	x := d.prepareSingle(w.single, d.session)
	d.send(&x)
	d.receive(&x)
	return w.single.take(&x)
}

// prepareSingle prepares a command on a key that is loaded.
func (d *device) prepareSingle(s singleCommand, in *wire.Session) exchange {
	d.slots.touch(s.key)
	c := s.command
	c.Handles, c.Session = []wire.Entity{s.key.entity()}, in
	return d.prepare(c)
}

// take parses the response to the command and passes its parameters on.
func (s singleCommand) take(x *exchange) error {
	rsp, err := x.result()
	if err != nil {
		return err
	}
	defer suite.Wipe(rsp.Params)
	return s.parse(rsp.Params)
}

// do runs act in the TPM.
func (d *Driver) do(ctx context.Context, op string, p queue.Priority, act func(*device) error) error {
	return d.run(op, &job{Ctx: ctx, Priority: p, Cost: op, Work: work{act: act}})
}

// run runs a job in the TPM, and classifies its error.
func (d *Driver) run(op string, j *job) error { return classify(op, d.queue.Do(j)) }

// do runs act in the TPM while the key is loaded.
func (k *key) do(ctx context.Context, op string, act func(*device, wire.Entity) error) error {
	return k.run(ctx, op, work{act: func(d *device) error {
		e, err := d.use(k.res)
		if err != nil {
			return err
		}
		return act(d, e)
	}})
}

// execute has the TPM execute a command on the key, and passes the parameters of the
// response to parse. The parameters of the command and of the response are wiped
// afterwards.
func (k *key) execute(ctx context.Context, op string, c wire.Command, parse func(params []byte) error) error {
	defer suite.Wipe(c.Params)
	c.Auth = k.res.auth.Bytes()
	return k.run(ctx, op, work{single: singleCommand{k.res, c, parse}})
}

func (k *key) run(ctx context.Context, op string, w work) error {
	cost := op + string(k.kind.Row.Spec.Algorithm)
	return k.driver.run(op, &job{Ctx: ctx, Priority: queue.Ordinary, Cost: cost, Key: k.res, Work: w})
}

// runJob runs a job, unless its context is done.
func (d *Driver) runJob(j *job) (err error) {
	if err = j.Ctx.Err(); err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended { // a transport of the caller panicked; the state of the connection is unknown
			d.device.disconnect()
		}
	}()
	err = d.device.perform(j.Ctx, j.Work.runOn)
	ended = true
	return err
}
