//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"context"
	"iter"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// ListKeys yields the ids of the keys that this package made in the token: those with its
// label and an id of 16 bytes. It reads the whole list first, in one session; the time
// grows with the number of objects in the token.
func (d *Driver) ListKeys(ctx context.Context) iter.Seq2[driver.MaterialID, error] {
	return func(yield func(driver.MaterialID, error) bool) {
		ids, err := d.list(ctx)
		if err != nil {
			yield(driver.MaterialID{}, err)
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (d *Driver) list(ctx context.Context) ([]driver.MaterialID, error) {
	if !hasDeadline(ctx) {
		return d.listKeys(ctx)
	}
	return bounded(ctx, func() ([]driver.MaterialID, error) { return d.listKeys(ctx) }, keep)
}

func (d *Driver) listKeys(ctx context.Context) (ids []driver.MaterialID, err error) {
	if err := d.enter(ctx, "ListKeys"); err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	err = d.run(ctx, func(s session) (err error) {
		ids, err = s.list(d.token.sentinel.Load() != nil)
		return err
	})
	return ids, err
}

// list also looks for the sentinel if sentinel is set, because a token that does not show
// it does not show all of its objects.
func (s session) list(sentinel bool) ([]driver.MaterialID, error) {
	var ids []driver.MaterialID
	watched, seen := !sentinel, make(map[driver.MaterialID]bool)
	for _, class := range []uint{p11.CKO_SECRET_KEY, p11.CKO_PRIVATE_KEY} {
		found, err := s.find(template{number(p11.CKA_CLASS, class), yes(p11.CKA_TOKEN)})
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			id, ours, err := s.ours(o)
			if err != nil {
				return nil, err
			}
			watched = watched || ours && id == sentinelID()
			if ours && !isReserved(id) && !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	if !watched {
		return nil, errAbsent
	}
	return ids, nil
}

// ours reports whether this package made an object. It reports false for an object that
// was destroyed during the call.
func (s session) ours(o p11.ObjectHandle) (driver.MaterialID, bool, error) {
	label, err := s.attribute(o, p11.CKA_LABEL)
	if codeOf(err) == p11.CKR_OBJECT_HANDLE_INVALID {
		return driver.MaterialID{}, false, nil
	}
	if err != nil || !bytes.HasPrefix(label, []byte(labelPrefix)) {
		return driver.MaterialID{}, false, err
	}
	id, err := s.attribute(o, p11.CKA_ID)
	if codeOf(err) == p11.CKR_OBJECT_HANDLE_INVALID || len(id) != len(driver.MaterialID{}) {
		return driver.MaterialID{}, false, nil
	}
	return driver.MaterialID(id), err == nil, err
}

// Random fills p from the token's generator. After an error of the token p is zero. If
// the token was not called, or the context's deadline passed first, p is unchanged.
func (d *Driver) Random(ctx context.Context, p []byte) error {
	if !hasDeadline(ctx) {
		return d.fill(ctx, p)
	}
	own := slices.Clone(p)
	out, err := bounded(ctx, func() ([]byte, error) { return own, d.fill(ctx, own) }, suite.Wipe)
	copy(p, out) // zeros if the token failed, nothing after the deadline
	suite.Wipe(out)
	return err
}

func (d *Driver) fill(ctx context.Context, p []byte) error {
	const op = "Random"
	if err := d.enter(ctx, op); err != nil {
		return err
	}
	defer d.gate.Leave()
	if !d.info.Random {
		return fault(op, driver.Unsupported, errSpec)
	}
	chunk := d.profile.randomChunk
	if chunk == 0 {
		chunk = max(1, len(p))
	}
	err := d.run(ctx, func(s session) error {
		for at := 0; at < len(p); at += chunk {
			if err := s.mod.random(uint(s.handle), p[at:min(at+chunk, len(p))]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		suite.Wipe(p)
	}
	return err
}
