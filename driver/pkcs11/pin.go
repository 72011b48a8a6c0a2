package pkcs11

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
)

// A PIN is the source of the user PIN. At most one field is set. No field is set for a
// token with a keypad or without a login. The PIN is read for each login, except from a
// descriptor.
//
// There is no field for the PIN itself, because a PIN in a program, on its command line
// or in a URI is not secret.
type PIN struct {
	// File is the path of a file with the PIN; a relative path is resolved when the token
	// is opened. Others must have no permissions on it. Its group may have read
	// permission only, and only if the file belongs to root or the user of the process
	// and the group is one of the process's. This is how Kubernetes mounts a secret with
	// fsGroup.
	//
	// One newline at the end of the file, with or without a carriage return before it, is
	// not part of the PIN. A file that begins with a byte order mark, or has other white
	// space at the beginning or end, is refused before a login is attempted. The same
	// applies to FD and Credential. A PIN that ends with a space must come from Env or
	// Ask.
	File string
	// FD is a descriptor, above 2, from which the PIN is read once, after the token has
	// been found. The driver does not close it.
	FD int
	// Env names an environment variable. Every process of the same user can read its
	// value.
	Env string
	// Credential names a file in the directory that systemd provides for LoadCredential
	// (CREDENTIALS_DIRECTORY). Others must have no permissions on it. Its group may have
	// read permission, as systemd sets for a service with a user of its own.
	Credential string
	// Ask returns the PIN; the driver wipes the returned slice. It may be called at any
	// time, because a token may need a login at any time.
	Ask func(context.Context) ([]byte, error)
}

var errManyPINs = errors.New("name one source for the PIN, not several")

// sources returns the number of fields that are set.
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

// check validates the configuration.
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
