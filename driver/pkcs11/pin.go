package pkcs11

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
)

// A PIN says where the user PIN comes from. One field is set; none is for a token
// that has a keypad or wants no login. It is read anew for each login, except from
// a descriptor.
//
// There is no field for the PIN itself: what stands in a program, on its command
// line or in a URI is no secret.
type PIN struct {
	// File is the path of a file with the PIN; a relative one is resolved when the token is
	// opened. Others have no permission to it. Its group
	// may read it, and no more, where the file belongs to root or to the user of the
	// process and the group is one of the process's: so Kubernetes mounts a secret by
	// fsGroup.
	//
	// One newline at the end of a file, with a carriage return before it or without, is
	// not part of the PIN. A file that begins with a byte order mark, or begins or ends
	// with white space beyond that, is refused before the token sees a PIN. The same holds
	// for FD and Credential. A PIN that does end with a space comes by Env or Ask.
	File string
	// FD is a descriptor, above 2, from which the PIN is read once, when the token was
	// found. It stays open; whoever opened it closes it.
	FD int
	// Env names an environment variable. What the variable holds can be seen by
	// every process of the same user.
	Env string
	// Credential names a file in the directory that systemd hands over by
	// LoadCredential (CREDENTIALS_DIRECTORY). Others have no permission to it; group may
	// read it, which is what systemd does for a service with a user of its own.
	Credential string
	// Ask returns the PIN; the driver wipes what it returned. It may be called at
	// any time, since a token may want a login at any time.
	Ask func(context.Context) ([]byte, error)
}

var errManyPINs = errors.New("name one source for the PIN, not several")

// sources counts the fields that are set.
func (p PIN) sources() int {
	n := 0
	for _, set := range []bool{p.File != "", p.FD != 0, p.Env != "", p.Credential != "", p.Ask != nil} {
		if set {
			n++
		}
	}
	return n
}

// absolute returns the source with an absolute path, because the file is read again for
// each login, also after a change of the working directory.
func (p PIN) absolute() (_ PIN, err error) {
	if p.File != "" {
		p.File, err = filepath.Abs(p.File)
	}
	return p, err
}

// check says what is wrong with the configuration.
func (p PIN) check() error {
	switch {
	case p.sources() > 1:
		return errManyPINs
	case p.FD != 0 && p.FD <= 2:
		return errors.New("a PIN is not read from the standard descriptors")
	case strings.ContainsAny(p.Credential, `/\`) || p.Credential == "..":
		return errors.New("a credential is a name, not a path")
	}
	return nil
}
