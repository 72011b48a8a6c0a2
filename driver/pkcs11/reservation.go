//go:build cgo && unix

package pkcs11

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"maps"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// A reservation is an object in the token that says that a number of sealings with a
// key are spent, whether they are made or not. It is a key without any role, since
// all tokens keep those, and few keep data objects (NSS refuses them). Its label
// names the key; the number stands in the first 4 bytes of its id, which is otherwise
// random.
//
// Reservations are added up, and none is changed, so that processes need no lock
// between them. Each is made first and counted after: of two that race for the last
// one at least sees both, and what is lost by that is a step. Where there are many,
// whoever reserves makes one of them all before he destroys them. A crash between the
// two, or two who do it at once, count sealings twice, and never too few.
//
// The token is trusted to show every process what all others have made. Some show it
// after a new C_Initialize only (nShield, unless it is told otherwise): there, two
// processes that run side by side may each spend what is left.

// manyReservations is how many of one key there are before they are made one.
const manyReservations = 16

// reservations are those of one key: their ids and handles.
type reservations map[driver.MaterialID]p11.ObjectHandle

func reservationLabel(key driver.MaterialID) string { return "sr-used/" + key.String() }

// reservation is the request for one.
func reservation(key driver.MaterialID, n int64) request {
	sh, _ := shapeOf(driver.KeySpec{Algorithm: driver.AES256GCM, Usage: driver.Seal})
	sh.roles, sh.name = nil, reservationLabel(key)
	r := request{shape: sh, persistent: true}
	rand.Read(r.id[:])
	binary.BigEndian.PutUint32(r.id[:], uint32(n))
	return r
}

// total is how many sealings are spent.
func (r reservations) total() (n int64) {
	for id := range r {
		n += int64(binary.BigEndian.Uint32(id[:]))
	}
	return n
}

// reserve has the token remember n more sealings with a key.
func (d *Driver) reserve(ctx context.Context, key driver.MaterialID, n int64) error {
	done, err := d.write(ctx, key)
	if err != nil {
		return err
	}
	defer done()
	return d.run(ctx, func(s session) error { return s.reserve(key, n) })
}

// reserve believes in no list that does not show the object that it has just made: a
// session that is not logged in sees none at all.
func (s session) reserve(key driver.MaterialID, n int64) error {
	r := reservation(key, n)
	o, _, err := s.makeFitting(r, session.generate)
	if err != nil {
		return err
	}
	all, err := s.reservations(key)
	if _, seen := all[r.id]; err == nil && !seen {
		err = errAbsent
	}
	if err == nil && all.total() > maxSealings {
		err = fault("Seal", driver.Invalid, errSealings)
	}
	if err != nil {
		return cmp.Or(s.destroy(o), err)
	}
	if len(all) > manyReservations {
		return s.merge(key, all)
	}
	return nil
}

// merge makes one reservation of all.
func (s session) merge(key driver.MaterialID, all reservations) error {
	if _, _, err := s.makeFitting(reservation(key, all.total()), session.generate); err != nil {
		return err
	}
	for _, o := range all {
		if err := s.destroy(o); err != nil {
			return err
		}
	}
	return nil
}

var errMoving = errors.New("others keep changing what the token has on record of a key")

// reservations looks until it has seen the same twice: while another merges, a list
// may miss both the old ones and the new.
func (s session) reservations(key driver.MaterialID) (reservations, error) {
	var before reservations
	for range 2 * attempts {
		now, err := s.reservationsOnce(key)
		if err == nil && before != nil && maps.Equal(before, now) {
			return now, nil
		}
		if err != nil && codeOf(err) != p11.CKR_OBJECT_HANDLE_INVALID {
			return nil, err
		}
		before = now
	}
	return nil, fault("C_FindObjects", driver.Unavailable, errMoving)
}

func (s session) reservationsOnce(key driver.MaterialID) (reservations, error) {
	found, err := s.find(template{number(p11.CKA_CLASS, p11.CKO_SECRET_KEY), raw(p11.CKA_LABEL, []byte(reservationLabel(key)))})
	if err != nil {
		return nil, err
	}
	all := make(reservations)
	for _, o := range found {
		id, err := s.attribute(o, p11.CKA_ID)
		if err != nil {
			return nil, err
		}
		if len(id) != len(driver.MaterialID{}) {
			return nil, fault("C_GetAttributeValue", driver.Unknown, errReservation)
		}
		all[driver.MaterialID(id)] = o
	}
	return all, nil
}

var errReservation = errors.New("a record of how often the key has sealed is damaged")
