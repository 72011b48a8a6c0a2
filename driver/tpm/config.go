package tpm

import (
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/internal/redact"
)

// Config selects a TPM and how to use it. Its zero value is the TPM of this machine. It
// prints redacted.
type Config struct {
	redacted
	// Device is the address of the TPM: empty for this machine's (/dev/tpmrm0, else
	// /dev/tpm0), the path of a device, or "unix:PATH" or "tcp:HOST:PORT" for a software
	// TPM. Open resolves a relative path.
	//
	// A TPM behind a socket must serve this program only, because it has no resource
	// manager: the driver flushes all objects and sessions that it does not know. Behind
	// a device without a resource manager (/dev/tpm0 and the like) it flushes those that
	// other programs left loaded.
	Device string
	// Dial, if not nil, connects instead of Device, and connects again whenever the
	// connection is lost. The TPM behind it must serve this program only, as behind a
	// socket. The transport may also implement Send in two halves, Post([]byte) error and
	// Fetch() ([]byte, error), as this package's own do; the driver then works while the
	// TPM does.
	Dial func() (transport.TPMCloser, error)
	// OwnerAuth is the authorization value of the owner hierarchy. It is needed only to
	// create the storage root key, or a counter, on a TPM that lacks it and whose owner
	// set a value. The driver reads it until Close; the caller wipes it after that.
	OwnerAuth []byte
	// SRK pins the storage root key: its name in hexadecimal, as in Info().Device.Serial.
	// If the TPM has another key, Open fails with driver.ErrWrongDevice. The driver looks
	// for the key at 0x81000001 and at 0x81000010 to 0x8100001F, and creates it again if
	// the TPM still derives the same key. If SRK is empty, the driver uses the key at
	// 0x81000001, which it creates if the handle is free. If that handle holds an
	// unsuitable key, it uses the first suitable one at the other handles, or creates one.
	SRK string
	// Counter is the NV index of a rollback counter, such as 0x01500001. Open creates the
	// index if it does not exist. 0 means no counter.
	Counter uint32
	// RootOnly opens the TPM for a Protector only: it offers no keys, Info().Specs is
	// empty, and Open sends about half as many commands. If the storage root key exists,
	// Open and Recover together take at most ten commands.
	RootOnly bool
	// Queue is the maximum number of waiting calls; further calls are Throttled. 0 means
	// 1024.
	Queue int
	// Patience is how long a call tries to reach a TPM whose connection was lost. 0 means
	// half a second.
	Patience time.Duration
	// TrustSoftware reports a software TPM at the protection level of a chip. It is for a
	// virtual machine whose host is trusted with its TPM.
	TrustSoftware bool
}

func (c Config) queueLimit() int {
	if c.Queue > 0 {
		return c.Queue
	}
	return 1024
}

func (c Config) dialTime() time.Duration {
	if c.Patience > 0 {
		return c.Patience
	}
	return 500 * time.Millisecond
}

// redacted makes every type that embeds it print redacted.
type redacted = redact.Secret
