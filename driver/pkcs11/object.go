//go:build cgo && unix

package pkcs11

import (
	"errors"
	"fmt"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// An object is a key in the token, found by class and id. It remembers its handle as
// long as that is good.
type object struct {
	shape shape
	id    driver.MaterialID
	// any: where two objects have the id, either will do.
	any bool
	// deviceIV: the token makes the ivs of AES-GCM.
	deviceIV bool
	at       atomic.Pointer[place]
	// lookups is how often the object was looked up by its id.
	lookups atomic.Uint64
}

// A place is a handle, the epoch for which it is good, and how many objects had been
// destroyed in the token when it was found: some tokens give a new object the handle of
// one that is gone. If another process destroys the object, and this one then comes to
// see another under its handle, that is not noticed.
type place struct {
	epoch     *epoch
	destroyed uint64
	handle    p11.ObjectHandle
}

var errTwice = errors.New("two objects of the token have one id")

// handle returns the object's handle. errAbsent: the token shows no such object.
func (o *object) handle(s session) (p11.ObjectHandle, error) {
	at, destroyed := o.at.Load(), s.epoch.destroyed.Load()
	if at != nil && at.epoch == s.epoch {
		if at.destroyed == destroyed {
			return at.handle, nil
		}
		still, err := s.still(at.handle, o)
		switch {
		case err != nil && codeOf(err) != p11.CKR_OBJECT_HANDLE_INVALID:
			return 0, err
		case still:
			// Opencryptoki gives the handle of a destroyed object to the next one, which may
			// have the same id: that counts as a lookup.
			o.lookups.Add(1)
			o.at.Store(&place{s.epoch, destroyed, at.handle})
			return at.handle, nil
		}
	}
	found, err := s.find(o.shape.search(o.id))
	if err != nil {
		return 0, err
	}
	switch {
	case len(found) == 0:
		return 0, errAbsent
	case len(found) > 1 && !o.any:
		if one, err := s.oneKey(found, o); err != nil {
			return 0, err
		} else if !one {
			return 0, fault("C_FindObjects", driver.Unknown, errTwice)
		}
	}
	o.lookups.Add(1) // after the search, and before any call can use what it found
	o.at.Store(&place{s.epoch, destroyed, found[0]})
	return found[0], nil
}

// still reports whether a handle is that of the object. On a token with many objects
// asking takes less than looking for it.
func (s session) still(handle p11.ObjectHandle, o *object) (bool, error) {
	if named, err := s.named(handle, o.id); err != nil || !named {
		return false, err
	}
	class, err := s.attribute(handle, p11.CKA_CLASS)
	got, _ := unword(class)
	return got == o.shape.class, err
}

// note looks at the error of a call with the handle, which may be good no more.
func (o *object) note(err error) error {
	switch codeOf(err) {
	case p11.CKR_OBJECT_HANDLE_INVALID, p11.CKR_KEY_HANDLE_INVALID, p11.CKR_UNWRAPPING_KEY_HANDLE_INVALID:
		o.at.Store(nil)
	}
	return err
}

// operate runs one call with the object as its key.
func (o *object) operate(s session, a call) (int, error) {
	key, err := o.handle(s)
	if err != nil {
		return 0, err
	}
	a.session, a.key = uint(s.handle), uint(key)
	n, err := s.mod.operate(&a)
	return n, o.note(err)
}

// find returns the handles of all objects that match.
func (s session) find(t template) (found []p11.ObjectHandle, err error) {
	const batch = 512
	if err := s.mod.ctx.FindObjectsInit(s.handle, t.attributes()); err != nil {
		return nil, from("C_FindObjectsInit", err)
	}
	for {
		some, _, err := s.mod.ctx.FindObjects(s.handle, batch)
		if err != nil {
			s.mod.ctx.FindObjectsFinal(s.handle)
			return nil, from("C_FindObjects", err)
		}
		found = append(found, some...)
		if len(some) == 0 {
			return found, from("C_FindObjectsFinal", s.mod.ctx.FindObjectsFinal(s.handle))
		}
	}
}

// attribute reads one attribute that is no secret. What the token does not tell is
// nil without an error.
func (s session) attribute(o p11.ObjectHandle, kind uint) ([]byte, error) {
	list, err := s.mod.ctx.GetAttributeValue(s.handle, o, []*p11.Attribute{{Type: kind}})
	switch code := codeOf(from("C_GetAttributeValue", err)); code {
	case p11.CKR_OK:
	case p11.CKR_ATTRIBUTE_SENSITIVE, p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_VALUE_INVALID:
		return nil, nil
	default:
		return nil, from("C_GetAttributeValue", err)
	}
	if len(list) != 1 {
		return nil, fault("C_GetAttributeValue", driver.Unknown, fmt.Errorf("%d attributes in the place of one", len(list)))
	}
	return list[0].Value, nil
}

// destroy destroys an object. One that is gone already is no error. Whoever knows its
// handle hears of it; calls that are just being made do not.
func (s session) destroy(o p11.ObjectHandle) error {
	err := from("C_DestroyObject", s.mod.ctx.DestroyObject(s.handle, o))
	s.epoch.destroyed.Add(1)
	if codeOf(err) == p11.CKR_OBJECT_HANDLE_INVALID {
		return nil
	}
	return err
}
