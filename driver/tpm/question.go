package tpm

import (
	"context"

	"strongroom.example/internal/suite"
)

// A question is a job that consists of one command on a key, and that the driver can
// prepare while the TPM works on another.
type question struct {
	command command // without the handle and the session
	take    func(params []byte) error
}

// ask has the TPM execute a command on the key, and passes the parameters of the response
// to take. The parameters of the command and of the response are wiped afterwards.
func (k *key) ask(ctx context.Context, op string, q question) error {
	defer suite.Wipe(q.command.params)
	q.command.auth = k.res.auth.Bytes()
	return k.driver.queue.do(op, &job{
		ctx:  ctx,
		lane: ordinary,
		cost: k.cost(op),
		key:  k.res,
		ask:  &q,
	})
}

// answer runs the question of a job outside of a flow.
func (d *device) answer(j *job) error {
	e, err := d.use(j.key)
	if err != nil {
		return err
	}
	c := j.ask.command
	c.handles, c.session = []entity{e}, d.session
	rsp, err := d.exchange(c)
	if err != nil {
		return err
	}
	defer suite.Wipe(rsp.params)
	return j.ask.take(rsp.params)
}

// work runs a job.
func (j *job) work(d *device) error {
	if j.ask != nil {
		return d.answer(j)
	}
	return j.act(d)
}
