package wire

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

// A Session authorizes commands by HMAC-SHA-256 and encrypts parameters with AES-128-CFB
// (Part 1, 17 and 19). Its key is derived from a salt that only the TPM can decrypt, so
// that a listener on the bus learns neither the key nor the parameters. Its nonces roll,
// so that one goroutine uses it at a time. go-tpm's own session holds a single
// authorization value and truncates it at a zero byte; this one takes the value for each
// command, by Authorized or Encrypted.
type Session struct {
	Handle                tpm2.TPMHandle
	key                   *lockedmem.Buffer // followed by room for the values derived for one command
	nonceCaller, nonceTPM [nonceSize]byte
	Started               time.Time // when the session was started
	Uses                  int       // the number of responses that it authenticated
}

// The layout of Session.key: the key, the authorization value of a command, then key and
// IV of a parameter.
const (
	keyEnd     = suite.HashSize
	authEnd    = keyEnd + 64
	sessionEnd = authEnd + 32
)

// A SessionKind is the type of a session and the loaded key to which it is salted.
type SessionKind struct {
	Type       tpm2.TPMSE
	SaltKey    tpm2.TPMHandle
	SaltPublic *tpm2.TPMTPublic // the public area of SaltKey
}

// StartSession starts a session in a TPM, and keeps its key in arena. The caller calls
// Free.
func StartSession(t transport.TPM, arena *lockedmem.Arena, k SessionKind) (*Session, error) {
	key, err := tpm2.ImportEncapsulationKey(k.SaltPublic)
	if err != nil {
		return nil, err
	}
	salt, secret, err := tpm2.CreateEncryptedSalt(rand.Reader, key)
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(salt)
	s := &Session{Started: time.Now()}
	rand.Read(s.nonceCaller[:])
	start := tpm2.StartAuthSession{
		TPMKey:        k.SaltKey,
		Bind:          tpm2.TPMRHNull,
		NonceCaller:   tpm2.TPM2BNonce{Buffer: s.nonceCaller[:]},
		EncryptedSalt: tpm2.TPM2BEncryptedSecret{Buffer: secret},
		SessionType:   k.Type,
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
		return nil, ErrResponse
	}
	s.Handle = tpm2.TPMHandle(rsp.SessionHandle)
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
func (s *Session) secret(auth []byte) []byte {
	for len(auth) > 0 && auth[len(auth)-1] == 0 {
		auth = auth[:len(auth)-1]
	}
	return append(s.key.Bytes()[:keyEnd:authEnd], auth...)
}

// commandMAC returns the HMAC that authorizes a command whose cpHash is hash.
func (s *Session) commandMAC(secret, hash []byte, attrs byte) [suite.HashSize]byte {
	return suite.AES.MAC(secret, hash, s.nonceCaller[:], s.nonceTPM[:], []byte{attrs})
}

// accept verifies the HMAC of a response and stores the TPM's new nonce.
func (s *Session) accept(secret, hash []byte, a responseAuth) error {
	if copy(s.nonceTPM[:], a.nonce) != nonceSize || len(a.nonce) != nonceSize {
		return ErrResponse
	}
	want := suite.AES.MAC(secret, hash, s.nonceTPM[:], s.nonceCaller[:], []byte{a.attrs})
	if !hmac.Equal(want[:], a.mac) {
		return ErrForged
	}
	s.Uses++
	return nil
}

// A responseAuth is the session's part of a response.
type responseAuth struct {
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
func (s *Session) encrypt(secret, param []byte) {
	keyIV := s.keyIV(secret, s.nonceCaller[:], s.nonceTPM[:])
	CFB(keyIV[:aes.BlockSize], keyIV[aes.BlockSize:], param, true)
}

func (s *Session) decrypt(secret, param []byte) {
	keyIV := s.keyIV(secret, s.nonceTPM[:], s.nonceCaller[:])
	CFB(keyIV[:aes.BlockSize], keyIV[aes.BlockSize:], param, false)
}

// keyIV derives key and IV for a parameter from the session's secret and both nonces
// (Part 1, 21.3). The result is valid until the next call.
func (s *Session) keyIV(secret, newer, older []byte) []byte {
	var nonces [2 * nonceSize]byte
	copy(nonces[:], newer)
	copy(nonces[nonceSize:], older)
	keyIV := s.key.Bytes()[authEnd:sessionEnd]
	suite.AES.KDF(keyIV, secret, "CFB", nonces[:])
	return keyIV
}

// Is reports whether h is the handle of the session.
func (s *Session) Is(h tpm2.TPMHandle) bool { return s != nil && s.Handle == h }

// Free wipes the key. The TPM keeps its own copy until the session is flushed or the TPM
// is reset.
func (s *Session) Free() {
	if s != nil {
		s.key.Free()
	}
}

// CFB applies AES-CFB to data in place, and overwrites iv. Go's own implementation is
// deprecated, and is refused where FIPS 140 is enforced. The TPM fixes this mode in its
// protocol, under an HMAC.
func CFB(key, iv, data []byte, encrypt bool) {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("tpm: AES refuses a key: " + err.Error())
	}
	for len(data) > 0 {
		block.Encrypt(iv, iv)
		n := min(len(data), aes.BlockSize)
		for i := range data[:n] {
			c := data[i] ^ iv[i]
			if encrypt {
				iv[i] = c
			} else {
				iv[i] = data[i]
			}
			data[i] = c
		}
		data = data[n:]
	}
}
