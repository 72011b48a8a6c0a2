package wire

import (
	"crypto/rand"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// An authorization applies a session to one command of go-tpm's direct API, with the
// authorization value of the command's first handle. It implements [tpm2.Session].
type authorization struct {
	session *Session
	auth    []byte
	attrs   byte
}

// Authorized returns an authorization for a command whose parameters are not secret.
func (s *Session) Authorized(auth []byte) tpm2.Session {
	return authorization{s, auth, attrContinue}
}

// Encrypted returns an authorization that also encrypts the command's first parameter.
func (s *Session) Encrypted(auth []byte) tpm2.Session {
	return authorization{s, auth, attrContinue | attrIn}
}

// Init does nothing, because the session was already started.
func (a authorization) Init(transport.TPM) error { return nil }

// CleanupFailure does nothing, because a failed command does not change the session.
func (a authorization) CleanupFailure(transport.TPM) error { return nil }

// NonceTPM returns the TPM's last nonce.
func (a authorization) NonceTPM() tpm2.TPM2BNonce {
	return tpm2.TPM2BNonce{Buffer: a.session.nonceTPM[:]}
}

// NewNonceCaller draws the caller's nonce for the next command.
func (a authorization) NewNonceCaller() error {
	rand.Read(a.session.nonceCaller[:])
	return nil
}

// Authorize computes the MAC of a command.
func (a authorization) Authorize(code tpm2.TPMCC, params, _ []byte, names []tpm2.TPM2BName, _ int) (*tpm2.TPMSAuthCommand, error) {
	secret := a.session.secret(a.auth)
	hash := hashOfNames(code, names, params)
	mac := a.session.commandMAC(secret, hash[:], a.attrs)
	return &tpm2.TPMSAuthCommand{
		Handle:        a.session.Handle,
		Nonce:         tpm2.TPM2BNonce{Buffer: a.session.nonceCaller[:]},
		Attributes:    sessionAttributes(a.attrs),
		Authorization: tpm2.TPM2BData{Buffer: mac[:]},
	}, nil
}

func sessionAttributes(attrs byte) tpm2.TPMASession {
	return tpm2.TPMASession{
		ContinueSession: attrs&attrContinue != 0,
		Decrypt:         attrs&attrIn != 0,
		Encrypt:         attrs&attrOut != 0,
	}
}

// Validate verifies the MAC of a response.
func (a authorization) Validate(_ tpm2.TPMRC, code tpm2.TPMCC, params []byte, _ []tpm2.TPM2BName, _ int, rsp *tpm2.TPMSAuthResponse) error {
	secret := a.session.secret(a.auth)
	hash := responseHash(code, params)
	var attrs byte
	if rsp.Attributes.ContinueSession {
		attrs |= attrContinue
	}
	if rsp.Attributes.Decrypt {
		attrs |= attrIn
	}
	if rsp.Attributes.Encrypt {
		attrs |= attrOut
	}
	return a.session.accept(secret, hash[:], responseAuth{rsp.Nonce.Buffer, rsp.Authorization.Buffer, attrs})
}

// IsEncryption reports whether the response's first parameter is encrypted.
func (a authorization) IsEncryption() bool { return a.attrs&attrOut != 0 }

// IsDecryption reports whether the command's first parameter is encrypted.
func (a authorization) IsDecryption() bool { return a.attrs&attrIn != 0 }

// Encrypt encrypts the command's first parameter in place, if the authorization hides it.
func (a authorization) Encrypt(param []byte) error {
	if a.IsDecryption() {
		secret := a.session.secret(a.auth)
		a.session.encrypt(secret, param)
	}
	return nil
}

// Decrypt decrypts the response's first parameter in place, if the authorization hides
// it.
func (a authorization) Decrypt(param []byte) error {
	if a.IsEncryption() {
		secret := a.session.secret(a.auth)
		a.session.decrypt(secret, param)
	}
	return nil
}

// Handle returns the session's handle.
func (a authorization) Handle() tpm2.TPMHandle { return a.session.Handle }
