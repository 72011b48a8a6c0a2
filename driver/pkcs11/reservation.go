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

// A reservation is an object in the token which records that a number of sealings with a
// key are used up, whether they have been made or not. It is a key without any role,
// because all tokens store keys, and few store data objects (NSS refuses them). Its label
// names the key. The first 4 bytes of its id are the number; the rest is random.
//
// Reservations are added up and never changed, so that processes need no lock between
// them. Each is made first and counted afterwards: of two processes that compete for the
// last one, at least one sees both; at worst a step is lost. If there are many, a process
// makes one reservation for the total before it destroys them. A crash between the two
// steps, or two processes doing so at once, count sealings twice, but never too few.
//
// The token must show every process the objects of all others. Some show them only after
// a new C_Initialize (nShield, unless configured otherwise). On these, two concurrent
// processes may each use up the remaining sealings.

// manyReservations is how many reservations of a key are kept before they are merged.
const manyReservations = 16

// reservations are the reservations of one key, by id.
type reservations map[driver.MaterialID]p11.ObjectHandle

func reservationLabel(key driver.MaterialID) string { return "sr-used/" + key.String() }

// reservation returns the request for a reservation of n sealings.
func reservation(key driver.MaterialID, n int64) request {
	sh, _ := shapeOf(driver.KeySpec{Algorithm: driver.AES256GCM, Usage: driver.Seal})
	sh.roles, sh.name = nil, reservationLabel(key)
	r := request{shape: sh, persistent: true}
	rand.Read(r.id[:])
	binary.BigEndian.PutUint32(r.id[:], uint32(n))
	return r
}

// total returns the number of sealings that are used up.
func (r reservations) total() (n int64) {
	for id := range r {
		n += int64(binary.BigEndian.Uint32(id[:]))
	}
	return n
}

// reserve records n more sealings with a key in the token.
func (d *Driver) reserve(ctx context.Context, key driver.MaterialID, n int64) error {
	done, err := d.write(ctx, key)
	if err != nil {
		return err
	}
	defer done()
	return d.run(ctx, func(s session) error { return s.reserve(key, n) })
}

// reserve does not trust a list without the object that it has just made, because a
// session that is not logged in shows none. Errors: errSealings if the total exceeds
// maxSealings.
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

// merge replaces all reservations by one.
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

// reservations repeats the search until two results in a row are equal: while another
// process merges, a list may lack both the old reservations and the new one.
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
