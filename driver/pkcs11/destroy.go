//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// DestroyKey destroys every object under id, and checks in the same session that none is
// left. A missing object is not an error. If the token fails to destroy an object and
// then no longer shows it, the module is initialised again to check. If another library
// in the process initialised the module, that is not possible, and the error is Unknown.
func (d *Driver) DestroyKey(ctx context.Context, id driver.MaterialID, _ driver.Blob) error {
	if !hasDeadline(ctx) {
		return d.destroyKey(ctx, id)
	}
	_, err := bounded(ctx, func() (struct{}, error) { return struct{}{}, d.destroyKey(ctx, id) }, keep)
	return err
}

func (d *Driver) destroyKey(ctx context.Context, id driver.MaterialID) error {
	if err := d.enter(ctx, "DestroyKey"); err != nil {
		return err
	}
	defer d.gate.Leave()
	done, err := d.write(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	err = d.run(ctx, func(s session) error { return s.destroyAll(id, &d.token.undestroyed) })
	if errors.Is(err, driver.NotFound) {
		return nil // the sentinel is there, so the token is well
	}
	return err
}

var errStillThere = errors.New("the token still shows an object that it has destroyed")

// destroyAll also destroys the key's reservations, after the key, because a key must not
// outlive the count of its sealings.
func (s session) destroyAll(id driver.MaterialID, undestroyed *survivors) error {
	all, birth := template{raw(p11.CKA_ID, id[:])}, s.mod.births.Load()
	n, err := s.clear(all)
	if err != nil {
		if e, ok := errors.AsType[*codeError](err); ok && e.call == "C_DestroyObject" && judge(err).cure != again {
			undestroyed.add(id, birth)
		}
		return err
	}
	found, err := s.find(all)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fault("C_DestroyObject", driver.Unknown, errStillThere)
	}
	if _, err := s.clear(template{raw(p11.CKA_LABEL, []byte(reservationLabel(id)))}); err != nil {
		return err
	}
	switch {
	case undestroyed.hidden(id, birth):
		return errSurvivor
	case n == 0:
		return errAbsent
	}
	return nil
}
