//go:build cgo && unix

package pkcs11

import (
	"errors"
	"fmt"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// An object is a key in the token, found by class and id. It caches its handle for as
// long as the handle is valid.
type object struct {
	shape shape
	id    driver.MaterialID
	// any: if two objects have the id, either can be used.
	any bool
	// deviceIV: the token generates the ivs of AES-GCM.
	deviceIV bool
	at       atomic.Pointer[place]
	// lookups counts how often the object was looked up by its id.
	lookups atomic.Uint64
}

// A place is a handle, the epoch in which it is valid, and the number of objects that had
// been destroyed in the token when it was found, because some tokens assign the handle of
// a destroyed object to a new one. If another process destroys the object, and this
// process then sees another object under its handle, the change is not detected.
type place struct {
	epoch     *epoch
	destroyed uint64
	handle    p11.ObjectHandle
}

var errTwice = errors.New("two objects of the token have one id")

// handle returns the object's handle. Errors: errAbsent if the token shows no such
// object, errTwice if it shows several that are different keys.
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
			// Opencryptoki assigns the handle of a destroyed object to the next one,
			// which may have the same id. This therefore counts as a lookup.
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
	o.lookups.Add(1) // after the search, and before a call can use the handle
	o.at.Store(&place{s.epoch, destroyed, found[0]})
	return found[0], nil
}

// still reports whether a handle still belongs to the object. On a token with many
// objects this is faster than a search.
func (s session) still(handle p11.ObjectHandle, o *object) (bool, error) {
	if named, err := s.named(handle, o.id); err != nil || !named {
		return false, err
	}
	class, err := s.attribute(handle, p11.CKA_CLASS)
	got, _ := unword(class)
	return got == o.shape.class, err
}

// note drops the cached handle if the error of a call shows that it is no longer valid.
// It returns err.
func (o *object) note(err error) error {
	switch codeOf(err) {
	case p11.CKR_OBJECT_HANDLE_INVALID, p11.CKR_KEY_HANDLE_INVALID, p11.CKR_UNWRAPPING_KEY_HANDLE_INVALID:
		o.at.Store(nil)
	}
	return err
}

// operate runs one call with the object as the key.
func (o *object) operate(s session, a call) (int, error) {
	key, err := o.handle(s)
	if err != nil {
		return 0, err
	}
	a.session, a.key = uint(s.handle), uint(key)
	n, err := s.mod.operate(&a)
	return n, o.note(err)
}

// find returns the handles of all matching objects.
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

// attribute reads one attribute that is not secret. It returns nil without an error if
// the token does not report the attribute.
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

// destroy destroys an object. An object that no longer exists is not an error. Later
// calls with a cached handle check it again; calls that are already running do not.
func (s session) destroy(o p11.ObjectHandle) error {
	err := from("C_DestroyObject", s.mod.ctx.DestroyObject(s.handle, o))
	s.epoch.destroyed.Add(1)
	if codeOf(err) == p11.CKR_OBJECT_HANDLE_INVALID {
		return nil
	}
	return err
}
