package tpm

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

const nonceSize = 32

// A session authorizes commands by HMAC-SHA-256 and encrypts parameters with AES-128-CFB
// (Part 1, 17 and 19). Its key is derived from a salt that only the TPM can decrypt, so
// that a listener on the bus learns neither the key nor the parameters. Its nonces roll,
// so that one goroutine uses it at a time. go-tpm's own session holds a single
// authorization value and truncates it at a zero byte; this one takes the value for each
// command, by with.
type session struct {
	handle                tpm2.TPMHandle
	key                   *lockedmem.Buffer // followed by room for the values derived for one command
	nonceCaller, nonceTPM [nonceSize]byte
	buf                   []byte // the command that was marshalled for it in a flow
	born                  time.Time
	uses                  int
}

// The layout of session.key: the key, the authorization value of a command, then key and
// IV of a parameter.
const (
	keyEnd     = suite.HashSize
	authEnd    = keyEnd + 64
	sessionEnd = authEnd + 32
)

// A sessionKind is the type of a session and the loaded key to which it is salted.
type sessionKind struct {
	kind tpm2.TPMSE
	salt *storageKey
}

// startSession starts a session of a kind.
func startSession(t transport.TPM, arena *lockedmem.Arena, k sessionKind) (*session, error) {
	key, err := tpm2.ImportEncapsulationKey(&k.salt.public)
	if err != nil {
		return nil, err
	}
	salt, secret, err := tpm2.CreateEncryptedSalt(rand.Reader, key)
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(salt)
	s := &session{born: time.Now()}
	rand.Read(s.nonceCaller[:])
	start := tpm2.StartAuthSession{
		TPMKey:        k.salt.handle,
		Bind:          tpm2.TPMRHNull,
		NonceCaller:   tpm2.TPM2BNonce{Buffer: s.nonceCaller[:]},
		EncryptedSalt: tpm2.TPM2BEncryptedSecret{Buffer: secret},
		SessionType:   k.kind,
		Symmetric: tpm2.TPMTSymDef{
			Algorithm: tpm2.TPMAlgAES,
			KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)),
			Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
		},
		AuthHash: tpm2.TPMAlgSHA256,
	}
	rsp, err := start.Execute(t)
	if err != nil {
		return nil, err
	}
	if copy(s.nonceTPM[:], rsp.NonceTPM.Buffer) != nonceSize {
		return nil, errResponse
	}
	s.handle = tpm2.TPMHandle(rsp.SessionHandle)
	if s.key, err = arena.Alloc(sessionEnd); err != nil {
		return nil, err
	}
	suite.AES.KDF(s.key.Bytes()[:keyEnd], salt, "ATH", slices.Concat(s.nonceTPM[:], s.nonceCaller[:]))
	return s, nil
}

// The attributes of a session (Part 2, 8.4).
const (
	attrContinue byte = 1 << 0
	attrIn       byte = 1 << 5 // the first parameter of the command is encrypted
	attrOut      byte = 1 << 6 // the first parameter of the response is encrypted
	attrAudit    byte = 1 << 7 // the command is audited: its response has a MAC
)

// secret returns the session's key followed by an authorization value without trailing
// zeros, which the TPM ignores. The result is valid until the next call.
func (s *session) secret(auth []byte) []byte {
	for len(auth) > 0 && auth[len(auth)-1] == 0 {
		auth = auth[:len(auth)-1]
	}
	return append(s.key.Bytes()[:keyEnd:authEnd], auth...)
}

// commandMAC returns the HMAC that authorizes a command whose cpHash is hash.
func (s *session) commandMAC(secret, hash []byte, attrs byte) [suite.HashSize]byte {
	return suite.AES.MAC(secret, hash, s.nonceCaller[:], s.nonceTPM[:], []byte{attrs})
}

// accept verifies the HMAC of a response and stores the TPM's new nonce.
func (s *session) accept(secret, hash []byte, a answer) error {
	if copy(s.nonceTPM[:], a.nonce) != nonceSize || len(a.nonce) != nonceSize {
		return errResponse
	}
	want := suite.AES.MAC(secret, hash, s.nonceTPM[:], s.nonceCaller[:], []byte{a.attrs})
	if !hmac.Equal(want[:], a.mac) {
		return errForged
	}
	s.uses++
	return nil
}

// An answer is the session's part of a response.
type answer struct {
	nonce, mac []byte
	attrs      byte
}

// responseHash returns rpHash, which the HMAC of a response covers.
func responseHash(code tpm2.TPMCC, params []byte) [suite.HashSize]byte {
	var space [512]byte
	whole := binary.BigEndian.AppendUint32(append(space[:0], 0, 0, 0, 0), uint32(code))
	return suite.AES.Sum(append(whole, params...))
}

// encrypt encrypts a parameter of a command, and decrypt decrypts one of a response.
func (s *session) encrypt(secret, param []byte) {
	keyIV := s.keyIV(secret, s.nonceCaller[:], s.nonceTPM[:])
	cfb(keyIV[:aes.BlockSize], keyIV[aes.BlockSize:], param, true)
}

func (s *session) decrypt(secret, param []byte) {
	keyIV := s.keyIV(secret, s.nonceTPM[:], s.nonceCaller[:])
	cfb(keyIV[:aes.BlockSize], keyIV[aes.BlockSize:], param, false)
}

// keyIV derives key and IV for a parameter from the session's secret and both nonces
// (Part 1, 21.3). The result is valid until the next call.
func (s *session) keyIV(secret, newer, older []byte) []byte {
	var nonces [2 * nonceSize]byte
	copy(nonces[:], newer)
	copy(nonces[nonceSize:], older)
	keyIV := s.key.Bytes()[authEnd:sessionEnd]
	suite.AES.KDF(keyIV, secret, "CFB", nonces[:])
	return keyIV
}

// has reports whether h is the handle of the session.
func (s *session) has(h tpm2.TPMHandle) bool { return s != nil && s.handle == h }

// drop wipes the key. The TPM keeps its own copy until the session is flushed or the TPM
// is reset.
func (s *session) drop() {
	if s != nil {
		s.key.Free()
	}
}
