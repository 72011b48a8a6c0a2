package pkcs11

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"strongroom.example/internal/pkcs11uri"
)

// ParseURI parses a configuration from a URI as in RFC 7512, such as
//
//	pkcs11:token=vault;serial=0a1b2c?module-path=/usr/lib/libhsm.so&pin-source=file:/etc/vault/pin
//
// The path may have token (the label) and serial; other path attributes are refused,
// because the driver does not support them. The query may have module-path; pin-source
// with file:PATH or a bare path, env:NAME, fd:NUMBER or systemd:NAME; and x-args,
// x-profile, x-max-sessions and x-without (names separated by commas) for the fields of
// Config. pin-value is refused, because a PIN in a URI is visible wherever the URI is.
// Errors quote no values.
func ParseURI(uri string) (Config, error) {
	u, err := pkcs11uri.Parse(uri)
	if err != nil {
		return Config{}, err
	}
	if u.Scheme != "pkcs11" {
		return Config{}, errors.New("the scheme of the URI is not pkcs11")
	}
	var c Config
	for name, value := range u.Path {
		if err := c.setPath(name, value); err != nil {
			return Config{}, err
		}
	}
	for name, value := range u.Query {
		if err := c.setQuery(name, value); err != nil {
			return Config{}, err
		}
	}
	return c, c.check()
}

func (c *Config) setPath(name, value string) error {
	switch name {
	case "token":
		c.Label = value
	case "serial":
		c.Serial = value
	default:
		return fmt.Errorf("the URI chooses by %s, which is not supported: use token and serial", name)
	}
	return nil
}

func (c *Config) setQuery(name, value string) error {
	var err error
	switch name {
	case "module-path":
		c.Module = value
	case "pin-source":
		c.PIN, err = pinSource(value)
	case "pin-value":
		err = errors.New("the URI holds a PIN: put the PIN into a file and use pin-source")
	case "x-args":
		c.Args = value
	case "x-profile":
		c.Profile = value
	case "x-max-sessions":
		if c.MaxSessions, err = strconv.Atoi(value); err != nil {
			err = errors.New("x-max-sessions is no number")
		}
	case "x-without":
		c.Without = parseAbilities(value)
	default:
		err = fmt.Errorf("the URI sets %s, which is not supported", name)
	}
	return err
}

// pinSource parses the value of pin-source. RFC 7512 defines a path, a file URI and a
// command after a bar; a command is refused.
func pinSource(value string) (PIN, error) {
	kind, rest, ok := strings.Cut(value, ":")
	switch {
	case strings.HasPrefix(value, "|"):
		return PIN{}, errors.New("pin-source names a command, which is not run: use a file")
	case strings.HasPrefix(value, "/"):
		return PIN{File: value}, nil
	case !ok || rest == "":
	case kind == "file":
		return pinFile(rest)
	case kind == "env":
		return PIN{Env: rest}, nil
	case kind == "systemd":
		return PIN{Credential: rest}, nil
	case kind == "fd":
		if fd, err := strconv.Atoi(rest); err == nil && fd > 2 {
			return PIN{FD: fd}, nil
		}
	}
	return PIN{}, errors.New("pin-source is none of file:PATH, env:NAME, fd:NUMBER (above 2), systemd:NAME")
}

// pinFile parses the part after "file:" (RFC 8089): an absolute path, without an
// authority or with that of this machine.
func pinFile(rest string) (PIN, error) {
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		rest = strings.TrimPrefix(after, "localhost")
	}
	if !strings.HasPrefix(rest, "/") {
		return PIN{}, errors.New("pin-source names no absolute path on this machine")
	}
	return PIN{File: rest}, nil
}
