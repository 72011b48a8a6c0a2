//go:build cgo && unix

package object

import (
	"bytes"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// List also looks for the sentinel if sentinel is set, because a token that does not show
// it does not show all of its objects.
func (s Session) List(sentinel bool) ([]driver.MaterialID, error) {
	var ids []driver.MaterialID
	watched, seen := !sentinel, make(map[driver.MaterialID]bool)
	for _, class := range []uint{p11.CKO_SECRET_KEY, p11.CKO_PRIVATE_KEY} {
		found, err := s.Find(cryptoki.Template{cryptoki.Ulong(p11.CKA_CLASS, class), cryptoki.True(p11.CKA_TOKEN)})
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			id, ours, err := s.ours(o)
			if err != nil {
				return nil, err
			}
			watched = watched || ours && id == SentinelID()
			if ours && !IsReserved(id) && !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	if !watched {
		return nil, cryptoki.ErrAbsent
	}
	return ids, nil
}

// ours reports whether this package made an object. It reports false for an object that
// was destroyed during the call.
func (s Session) ours(o p11.ObjectHandle) (driver.MaterialID, bool, error) {
	label, err := s.Attribute(o, p11.CKA_LABEL)
	if cryptoki.CodeOf(err) == p11.CKR_OBJECT_HANDLE_INVALID {
		return driver.MaterialID{}, false, nil
	}
	if err != nil || !bytes.HasPrefix(label, []byte(labelPrefix)) {
		return driver.MaterialID{}, false, err
	}
	id, err := s.Attribute(o, p11.CKA_ID)
	if cryptoki.CodeOf(err) == p11.CKR_OBJECT_HANDLE_INVALID || len(id) != len(driver.MaterialID{}) {
		return driver.MaterialID{}, false, nil
	}
	return driver.MaterialID(id), err == nil, err
}
