package tpm

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/suite"
)

// An entity is a handle together with its name. A session authorizes the name.
type entity struct {
	handle tpm2.TPMHandle
	name   []byte
}

// A command is a TPM command that this package marshals itself: those of the frequent
// operations, for speed, and those that go-tpm does not support.
type command struct {
	code    tpm2.TPMCC
	handles []entity
	params  []byte
	// session authorizes the first handle with auth, or only encrypts if no handle needs
	// an authorization. If it is nil the command runs outside of sessions.
	session *session
	auth    []byte
	// in and out select encryption of the first parameter of the command and of the
	// response. That parameter must be a TPM2B.
	in, out bool
	// audit makes the session authenticate a command that needs no authorization and
	// whose parameters cannot be encrypted.
	audit bool
	// yields reports that the response contains a handle.
	yields bool
}

// A response is the result of a command. params is valid until the next command. It is
// secret if the command has out set; the caller wipes it.
type response struct {
	handle tpm2.TPMHandle
	params []byte
}

const (
	tagNoSessions uint16 = 0x8001
	tagSessions   uint16 = 0x8002
	tagTPM12      uint16 = 0x00C4 // the tag of a response of a TPM 1.2
	authSize             = 4 + 2 + nonceSize + 1 + 2 + suite.HashSize
)

func (c *command) attrs() byte {
	attrs := attrContinue
	if c.in {
		attrs |= attrIn
	}
	if c.out {
		attrs |= attrOut
	}
	if c.audit {
		attrs |= attrAudit
	}
	return attrs
}

// append appends the marshalled command to b. secret is that of its session.
func (c *command) append(b, secret []byte) []byte {
	tag := tagNoSessions
	if c.session != nil {
		tag = tagSessions
	}
	b = binary.BigEndian.AppendUint16(b, tag)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(c.code))
	for _, h := range c.handles {
		b = binary.BigEndian.AppendUint32(b, uint32(h.handle))
	}
	if c.session == nil {
		b = append(b, c.params...)
	} else {
		b = c.appendAuthorized(b, secret)
	}
	binary.BigEndian.PutUint32(b[2:], uint32(len(b)))
	return b
}

func (c *command) appendAuthorized(b, secret []byte) []byte {
	s := c.session
	rand.Read(s.nonceCaller[:])
	at := len(b)
	b = append(b, make([]byte, 4+authSize)...)
	b = append(b, c.params...)
	params := b[at+4+authSize:]
	if c.in {
		s.encrypt(secret, params[2:2+binary.BigEndian.Uint16(params)])
	}
	hash := c.hash(params)
	mac := s.commandMAC(secret, hash[:], c.attrs())
	area := binary.BigEndian.AppendUint32(b[:at], authSize)
	area = binary.BigEndian.AppendUint32(area, uint32(s.handle))
	area = appendSized(area, s.nonceCaller[:])
	appendSized(append(area, c.attrs()), mac[:])
	return b
}

// hash returns cpHash, which a session authorizes: the hash of the command code, the
// names of its handles, and its parameters.
func (c *command) hash(params []byte) [suite.HashSize]byte {
	var space [512]byte
	whole := binary.BigEndian.AppendUint32(space[:0], uint32(c.code))
	for _, h := range c.handles {
		whole = append(whole, h.name...)
	}
	return suite.AES.Sum(append(whole, params...))
}

func commandHash(code tpm2.TPMCC, names []tpm2.TPM2BName, params []byte) [suite.HashSize]byte {
	c := command{code: code}
	for _, name := range names {
		c.handles = append(c.handles, entity{name: name.Buffer})
	}
	return c.hash(params)
}

// responseCode returns the code of a response. It returns success for a response that is
// too short to have a code, which parse then rejects.
func responseCode(rsp []byte) tpm2.TPMRC {
	if len(rsp) < headerSize {
		return tpm2.TPMRCSuccess
	}
	return tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:]))
}

// parse parses a response, verifies its MAC and decrypts its first parameter.
func (c *command) parse(b, secret []byte) (response, error) {
	r := reader{rest: b}
	tag, size, code := r.u16(), r.u32(), tpm2.TPMRC(r.u32())
	switch {
	case r.bad || int(size) != len(b):
		return response{}, errResponse
	case tag == tagTPM12:
		return response{}, errTPM12
	case code != tpm2.TPMRCSuccess:
		return response{}, &codeError{c.code, code}
	case (tag == tagSessions) != (c.session != nil):
		return response{}, errResponse
	}
	var rsp response
	if c.yields {
		rsp.handle = tpm2.TPMHandle(r.u32())
	}
	if c.session == nil {
		rsp.params = r.rest
		return rsp, nil
	}
	rsp.params = r.bytes(int(r.u32()))
	a := answer{nonce: r.sized(), attrs: r.u8(), mac: r.sized()}
	if err := r.done(); err != nil {
		return response{}, err
	}
	hash := responseHash(c.code, rsp.params)
	if err := c.session.accept(secret, hash[:], a); err != nil {
		return response{}, err
	}
	if c.out {
		first := reader{rest: rsp.params}
		c.session.decrypt(secret, first.sized())
	}
	return rsp, nil
}
