package tpm

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/suite"
)

// An entity is what a handle stands for: its name is what a session authorizes.
type entity struct {
	handle tpm2.TPMHandle
	name   []byte
}

// A command is marshalled by hand: for the commands of every operation, and for those
// that go-tpm does not know. It is the same on the wire.
type command struct {
	code    tpm2.TPMCC
	handles []entity
	params  []byte
	// session authorizes the first handle with auth, or only encrypts where no handle
	// wants authorization. Nil: the command runs outside of sessions.
	session *session
	auth    []byte
	// in and out encrypt the first parameter of command and response, which must be
	// sized.
	in, out bool
	// audit has the session authenticate a command that wants no authorization and whose
	// parameters cannot be encrypted.
	audit bool
	// yields says that the response has a handle.
	yields bool
}

// A response is what a command gives. params is valid until the next command, and
// secret where the command says so: whoever asked wipes it.
type response struct {
	handle tpm2.TPMHandle
	params []byte
}

const (
	tagNoSessions uint16 = 0x8001
	tagSessions   uint16 = 0x8002
	tagTPM12      uint16 = 0x00C4 // what a TPM 1.2 answers with
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

// append marshals the command. secret is that of its session.
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

// hash is what a session authorizes: the command, the names of its handles, and its
// parameters.
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

// responseCode is the code of a response. What is too short for one has none, and does
// not parse.
func responseCode(rsp []byte) tpm2.TPMRC {
	if len(rsp) < headerSize {
		return tpm2.TPMRCSuccess
	}
	return tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:]))
}

// parse takes a response apart, checks its MAC and decrypts its first parameter.
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
