//go:build cgo && unix

package object

import (
	"errors"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// An Object is a key in the token, found by class and id. It caches its handle for as
// long as the handle is valid.
type Object struct {
	Shape Shape
	ID    driver.MaterialID
	// Any: if two objects have the id, either can be used.
	Any    bool
	handle atomic.Pointer[handleRef]
	// Lookups counts how often the object was looked up by its id.
	Lookups atomic.Uint64
}

// A handleRef is a handle, the epoch in which it is valid, and the number of objects that
// had been destroyed in the token when it was found, because some tokens assign the
// handle of a destroyed object to a new one. If another process destroys the object, and
// this process then sees another object under its handle, the change is not detected.
type handleRef struct {
	epoch     *LoginEpoch
	destroyed uint64
	Handle    p11.ObjectHandle
}

var errTwice = errors.New("two objects of the token have one id")

// LastHandle returns the handle that the object had in the last call. There must have been
// one.
func (o *Object) LastHandle() p11.ObjectHandle { return o.handle.Load().Handle }

// Handle returns the object's handle. Errors: errAbsent if the token shows no such
// object, errTwice if it shows several that are different keys.
func (o *Object) Handle(s Session) (p11.ObjectHandle, error) {
	at, destroyed := o.handle.Load(), s.Epoch.Destroyed.Load()
	if at != nil && at.epoch == s.Epoch {
		if at.destroyed == destroyed {
			return at.Handle, nil
		}
		still, err := s.stillValid(at.Handle, o)
		switch {
		case err != nil && cryptoki.CodeOf(err) != p11.CKR_OBJECT_HANDLE_INVALID:
			return 0, err
		case still:
			// Opencryptoki assigns the handle of a destroyed object to the next one,
			// which may have the same id. This therefore counts as a lookup.
			o.Lookups.Add(1)
			o.handle.Store(&handleRef{s.Epoch, destroyed, at.Handle})
			return at.Handle, nil
		}
	}
	found, err := s.Find(o.Shape.Search(o.ID))
	if err != nil {
		return 0, err
	}
	switch {
	case len(found) == 0:
		return 0, cryptoki.ErrAbsent
	case len(found) > 1 && !o.Any:
		if one, err := s.oneKey(found, o); err != nil {
			return 0, err
		} else if !one {
			return 0, cryptoki.Fault("C_FindObjects", driver.Unknown, errTwice)
		}
	}
	o.Lookups.Add(1) // after the search, and before a call can use the handle
	o.handle.Store(&handleRef{s.Epoch, destroyed, found[0]})
	return found[0], nil
}

// stillValid reports whether a handle still belongs to the object. On a token with many
// objects this is faster than a search.
func (s Session) stillValid(handle p11.ObjectHandle, o *Object) (bool, error) {
	if named, err := s.hasID(handle, o.ID); err != nil || !named {
		return false, err
	}
	class, err := s.Attribute(handle, p11.CKA_CLASS)
	got, _ := cryptoki.ParseUlong(class)
	return got == o.Shape.Class, err
}

// DropHandleOn drops the cached handle if the error of a call shows that it is no longer
// valid. It returns err.
func (o *Object) DropHandleOn(err error) error {
	switch cryptoki.CodeOf(err) {
	case p11.CKR_OBJECT_HANDLE_INVALID, p11.CKR_KEY_HANDLE_INVALID, p11.CKR_UNWRAPPING_KEY_HANDLE_INVALID:
		o.handle.Store(nil)
	}
	return err
}

// operate runs one call with the object as the key.
func (o *Object) operate(s Session, a cryptoki.Call) (int, error) {
	key, err := o.Handle(s)
	if err != nil {
		return 0, err
	}
	a.Session, a.Key = uint(s.Handle), uint(key)
	n, err := s.Lib.Operate(&a)
	return n, o.DropHandleOn(err)
}

// ObjectAt returns an object whose handle is known.
func (s Session) ObjectAt(o p11.ObjectHandle, r KeyRequest) *Object {
	found := &Object{Shape: r.Shape, ID: r.ID}
	found.handle.Store(&handleRef{s.Epoch, s.Epoch.Destroyed.Load(), o})
	return found
}
