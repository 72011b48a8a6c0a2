//go:build cgo && unix

package object

import (
	"fmt"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// A LoginEpoch is the time between one login and the next. Sessions and object handles
// belong to one epoch and are invalid in another.
type LoginEpoch struct {
	Number, Generation uint64
	// InitCount is the module's initCount.
	InitCount uint64
	TokenSlot
	// Anchor is a session that stays open and is not used otherwise, because the login
	// ends with the last session of a token.
	Anchor  p11.SessionHandle
	NoLogin bool        // there is no login, because the token needs none
	Dead    atomic.Bool // its sessions ended with it
	Levels  *FallbackLevels
	// Destroyed counts the objects that this process has destroyed in the token.
	Destroyed *atomic.Uint64
}

// A TokenSlot is the slot in which a token currently is.
type TokenSlot struct {
	Slot uint
	Info p11.TokenInfo
	// Hardware: the slot reports a hardware device.
	Hardware bool
}

// A Session is a session of a token. Only one goroutine at a time uses it, because
// concurrent calls in one session crash some modules.
type Session struct {
	Lib    *cryptoki.Library
	Handle p11.SessionHandle
	Epoch  *LoginEpoch
}

// LoggedIn reports whether the session is logged in, according to the token.
func (s Session) LoggedIn() (bool, error) {
	info, err := s.Lib.Ctx.GetSessionInfo(s.Handle)
	return info.State == p11.CKS_RW_USER_FUNCTIONS, cryptoki.Convert("C_GetSessionInfo", err)
}

// Find returns the handles of all matching objects.
func (s Session) Find(t cryptoki.Template) (found []p11.ObjectHandle, err error) {
	const batch = 512
	if err := s.Lib.Ctx.FindObjectsInit(s.Handle, t.Attributes()); err != nil {
		return nil, cryptoki.Convert("C_FindObjectsInit", err)
	}
	for {
		some, _, err := s.Lib.Ctx.FindObjects(s.Handle, batch)
		if err != nil {
			s.Lib.Ctx.FindObjectsFinal(s.Handle)
			return nil, cryptoki.Convert("C_FindObjects", err)
		}
		found = append(found, some...)
		if len(some) == 0 {
			return found, cryptoki.Convert("C_FindObjectsFinal", s.Lib.Ctx.FindObjectsFinal(s.Handle))
		}
	}
}

// Attribute reads one attribute that is not secret. It returns nil without an error if
// the token does not report the attribute.
func (s Session) Attribute(o p11.ObjectHandle, kind uint) ([]byte, error) {
	list, err := s.Lib.Ctx.GetAttributeValue(s.Handle, o, []*p11.Attribute{{Type: kind}})
	switch code := cryptoki.CodeOf(cryptoki.Convert("C_GetAttributeValue", err)); code {
	case p11.CKR_OK:
	case p11.CKR_ATTRIBUTE_SENSITIVE, p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_VALUE_INVALID:
		return nil, nil
	default:
		return nil, cryptoki.Convert("C_GetAttributeValue", err)
	}
	if len(list) != 1 {
		return nil, cryptoki.Fault("C_GetAttributeValue", driver.Unknown, fmt.Errorf("%d attributes in the place of one", len(list)))
	}
	return list[0].Value, nil
}

// destroy destroys an object. An object that no longer exists is not an error. Later
// calls with a cached handle check it again; calls that are already running do not.
func (s Session) destroy(o p11.ObjectHandle) error {
	err := cryptoki.Convert("C_DestroyObject", s.Lib.Ctx.DestroyObject(s.Handle, o))
	s.Epoch.Destroyed.Add(1)
	if cryptoki.CodeOf(err) == p11.CKR_OBJECT_HANDLE_INVALID {
		return nil
	}
	return err
}

// DestroyByID destroys all objects with an id.
func (s Session) DestroyByID(id driver.MaterialID) error {
	_, err := s.DestroyMatching(cryptoki.Template{cryptoki.Bytes(p11.CKA_ID, id[:])})
	return err
}

// DestroyMatching destroys all matching objects and returns their number.
func (s Session) DestroyMatching(t cryptoki.Template) (int, error) {
	found, err := s.Find(t)
	for _, o := range found {
		if err := s.destroy(o); err != nil {
			return 0, err
		}
	}
	return len(found), err
}
