package tpm

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/wire"
)

// Health is the state of a TPM, for operators.
type Health struct {
	// Lockout reports that the TPM refuses objects that are subject to its protection
	// against dictionary attacks. This driver has no such objects, and is not affected.
	Lockout bool
	// Failures is the TPM's count of wrong authorizations of such objects, and of power
	// cuts after their use. At MaxFailures the TPM locks. The count falls by one in each
	// Interval. After a wrong lockout authorization the TPM refuses that authorization
	// for Recovery.
	Failures, MaxFailures uint32
	Interval, Recovery    time.Duration
	// Resets counts the resets of the TPM. An operator should investigate a count that
	// falls, or that rises without a reset of the machine.
	Resets uint32
	// Waiting is the number of calls in the queue.
	Waiting int
}

// Health reads the state of the TPM.
func (d *Driver) Health(ctx context.Context) (Health, error) {
	const op = "TPM2_GetCapability"
	if err := d.enter(ctx, op); err != nil {
		return Health{}, err
	}
	defer d.gate.Leave()
	var h Health
	err := d.do(ctx, op, queue.Urgent, func(dev *device) error {
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
	})
	h.Waiting = d.queue.Waiting()
	return h, err
}

// ResetLockout ends a lockout at once (TPM2_DictionaryAttackLockReset). auth is the
// lockout authorization, which is empty on most machines. A wrong one is Denied, and the
// TPM then refuses the right one too, for Health().Recovery. The driver checks the
// session before it sends auth, so that only a wrong value counts as a wrong one. The
// caller wipes auth.
func (d *Driver) ResetLockout(ctx context.Context, auth []byte) error {
	const op = "TPM2_DictionaryAttackLockReset"
	if err := d.enter(ctx, op); err != nil {
		return err
	}
	defer d.gate.Leave()
	return d.do(ctx, op, queue.Urgent, func(dev *device) error {
		if err := dev.ensureSession(); err != nil {
			return err
		}
		_, err := dev.execute(wire.Command{
			Code:    tpm2.TPMCCDictionaryAttackLockReset,
			Handles: []wire.Entity{{Handle: tpm2.TPMRHLockout, Name: binary.BigEndian.AppendUint32(nil, uint32(tpm2.TPMRHLockout))}},
			Session: dev.session,
			Auth:    auth,
		})
		return err
	})
}
