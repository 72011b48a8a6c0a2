// Package wire marshals TPM commands and parses their responses (TPM 2.0 Library, Parts 1
// to 3). Its sessions authorize commands, and encrypt the parameters that are secret.
package wire

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/suite"
)

// An Entity is a handle together with its name. A session authorizes the name.
type Entity struct {
	Handle tpm2.TPMHandle
	Name   []byte
}

// A Command is a TPM command that the driver marshals itself: those of the frequent
// operations, for speed, and those that go-tpm does not support.
type Command struct {
	Code    tpm2.TPMCC
	Handles []Entity
	Params  []byte
	// Session authorizes the first handle with Auth, or only encrypts if no handle needs
	// an authorization. If it is nil the command runs outside of sessions.
	Session *Session
	Auth    []byte
	// EncryptIn and EncryptOut select encryption of the first parameter of the command
	// and of the response. That parameter must be a TPM2B.
	EncryptIn, EncryptOut bool
	// Audit makes the session authenticate a command that needs no authorization and
	// whose parameters cannot be encrypted.
	Audit bool
	// ReturnsHandle reports that the response contains a handle.
	ReturnsHandle bool
}

// A Response is the result of a command. Params is valid until the next command. It is
// secret if the command has EncryptOut set; the caller wipes it.
type Response struct {
	Handle tpm2.TPMHandle
	Params []byte
}

// HeaderSize is the length of a command's or response's header: tag, size and code.
const HeaderSize = 10

const (
	tagNoSessions uint16 = 0x8001
	tagSessions   uint16 = 0x8002
	tagTPM12      uint16 = 0x00C4 // the tag of a response of a TPM 1.2
	authSize             = 4 + 2 + nonceSize + 1 + 2 + suite.HashSize
)

func (c *Command) attrs() byte {
	attrs := attrContinue
	if c.EncryptIn {
		attrs |= attrIn
	}
	if c.EncryptOut {
		attrs |= attrOut
	}
	if c.Audit {
		attrs |= attrAudit
	}
	return attrs
}

// Append appends the marshalled command to b.
func (c *Command) Append(b []byte) []byte {
	tag := tagNoSessions
	if c.Session != nil {
		tag = tagSessions
	}
	b = binary.BigEndian.AppendUint16(b, tag)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(c.Code))
	for _, h := range c.Handles {
		b = binary.BigEndian.AppendUint32(b, uint32(h.Handle))
	}
	if c.Session == nil {
		b = append(b, c.Params...)
	} else {
		b = c.appendAuthorized(b)
	}
	binary.BigEndian.PutUint32(b[2:], uint32(len(b)))
	return b
}

func (c *Command) appendAuthorized(b []byte) []byte {
	s := c.Session
	secret := s.secret(c.Auth)
	rand.Read(s.nonceCaller[:])
	at := len(b)
	b = append(b, make([]byte, 4+authSize)...)
	b = append(b, c.Params...)
	params := b[at+4+authSize:]
	if c.EncryptIn {
		s.encrypt(secret, params[2:2+binary.BigEndian.Uint16(params)])
	}
	hash := c.hash(params)
	mac := s.commandMAC(secret, hash[:], c.attrs())
	area := binary.BigEndian.AppendUint32(b[:at], authSize)
	area = binary.BigEndian.AppendUint32(area, uint32(s.Handle))
	area = AppendSized(area, s.nonceCaller[:])
	AppendSized(append(area, c.attrs()), mac[:])
	return b
}

// hash returns cpHash, which a session authorizes: the hash of the command code, the
// names of its handles, and its parameters.
func (c *Command) hash(params []byte) [suite.HashSize]byte {
	var space [512]byte
	whole := binary.BigEndian.AppendUint32(space[:0], uint32(c.Code))
	for _, h := range c.Handles {
		whole = append(whole, h.Name...)
	}
	return suite.AES.Sum(append(whole, params...))
}

// hashOfNames is hash for a command that go-tpm marshals.
func hashOfNames(code tpm2.TPMCC, names []tpm2.TPM2BName, params []byte) [suite.HashSize]byte {
	c := Command{Code: code}
	for _, name := range names {
		c.Handles = append(c.Handles, Entity{Name: name.Buffer})
	}
	return c.hash(params)
}

// ResponseCode returns the code of a response. It returns success for a response that is
// too short to have a code, which Parse then rejects.
func ResponseCode(rsp []byte) tpm2.TPMRC {
	if len(rsp) < HeaderSize {
		return tpm2.TPMRCSuccess
	}
	return tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:]))
}

// Parse parses the response to the command, verifies its MAC and decrypts its first
// parameter in place.
//
// Errors:
//   - ErrResponse: b is not a response to the command.
//   - ErrTPM12: b is the response of a TPM 1.2.
//   - ErrForged: the session did not authenticate b.
//   - a CodeError: the TPM did not execute the command.
func (c *Command) Parse(b []byte) (Response, error) {
	r := Reader{Rest: b}
	tag, size, code := r.U16(), r.U32(), tpm2.TPMRC(r.U32())
	switch {
	case r.Bad || int(size) != len(b):
		return Response{}, ErrResponse
	case tag == tagTPM12:
		return Response{}, ErrTPM12
	case code != tpm2.TPMRCSuccess:
		return Response{}, &CodeError{c.Code, code}
	case (tag == tagSessions) != (c.Session != nil):
		return Response{}, ErrResponse
	}
	var rsp Response
	if c.ReturnsHandle {
		rsp.Handle = tpm2.TPMHandle(r.U32())
	}
	if c.Session == nil {
		rsp.Params = r.Rest
		return rsp, nil
	}
	rsp.Params = r.Bytes(int(r.U32()))
	a := responseAuth{nonce: r.Sized(), attrs: r.U8(), mac: r.Sized()}
	if err := r.Done(); err != nil {
		return Response{}, err
	}
	secret := c.Session.secret(c.Auth)
	hash := responseHash(c.Code, rsp.Params)
	if err := c.Session.accept(secret, hash[:], a); err != nil {
		return Response{}, err
	}
	if c.EncryptOut {
		first := Reader{Rest: rsp.Params}
		c.Session.decrypt(secret, first.Sized())
	}
	return rsp, nil
}
