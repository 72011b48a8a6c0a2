package tpm

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// Health is how a TPM is, for operators.
type Health struct {
	// Lockout says that the TPM refuses objects that take part in its protection against
	// dictionary attacks. This driver has none, and goes on working.
	Lockout bool
	// Failures counts wrong authorizations of such objects, and power cuts after their
	// use; at MaxFailures the TPM locks. Each Interval one is forgotten. Recovery is how
	// long the lockout authorization itself is refused after a wrong one.
	Failures, MaxFailures uint32
	Interval, Recovery    time.Duration
	// Resets counts how often the TPM was reset: a count that falls, or a machine that
	// cannot tell why it grew, deserves a look.
	Resets uint32
	// Waiting counts calls in the queue.
	Waiting int
}

// Health asks the TPM how it is.
func (d *Driver) Health(ctx context.Context) (Health, error) {
	const op = "TPM2_GetCapability"
	if err := d.enter(ctx, op); err != nil {
		return Health{}, err
	}
	defer d.gate.Leave()
	var h Health
	err := d.queue.do(op, &job{ctx: ctx, lane: urgent, cost: op, act: func(dev *device) error {
		p, err := dev.properties(tpm2.TPMPTPermanent)
		if err != nil {
			return err
		}
		now, err := dev.readClock()
		if err != nil {
			return err
		}
		const inLockout = 1 << 9
		h = Health{
			Lockout:     p[tpm2.TPMPTPermanent]&inLockout != 0,
			Failures:    p[tpm2.TPMPTLockoutCounter],
			MaxFailures: p[tpm2.TPMPTMaxAuthFail],
			Interval:    time.Duration(p[tpm2.TPMPTLockoutInterval]) * time.Second,
			Recovery:    time.Duration(p[tpm2.TPMPTLockoutRecovery]) * time.Second,
			Resets:      now.resets,
		}
		return nil
	}})
	h.Waiting = d.queue.waitingNow()
	return h, err
}

// ResetLockout ends a lockout at once, by the lockout authorization, which most
// machines leave empty. A wrong one is Denied, and the TPM then refuses the right one
// too for Health().Recovery. It is sent in a session that was tried before, so that
// nothing but a wrong one counts as one.
func (d *Driver) ResetLockout(ctx context.Context, auth []byte) error {
	const op = "TPM2_DictionaryAttackLockReset"
	if err := d.enter(ctx, op); err != nil {
		return err
	}
	defer d.gate.Leave()
	return d.queue.do(op, &job{ctx: ctx, lane: urgent, cost: op, act: func(dev *device) error {
		if err := dev.proven(); err != nil {
			return err
		}
		_, err := dev.execute(command{
			code:    tpm2.TPMCCDictionaryAttackLockReset,
			handles: []entity{{tpm2.TPMRHLockout, binary.BigEndian.AppendUint32(nil, uint32(tpm2.TPMRHLockout))}},
			session: dev.session,
			auth:    auth,
		})
		return err
	}})
}
