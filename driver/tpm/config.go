package tpm

import (
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/internal/redact"
)

// Config says which TPM to use, and how. Its zero value is the TPM of this machine.
// It prints redacted.
type Config struct {
	redacted
	// Device is where the TPM is: empty for this machine's (/dev/tpmrm0, else
	// /dev/tpm0), the path of a device, "unix:PATH" or "tcp:HOST:PORT" for a software
	// TPM. What answers on a socket must be this program's alone: it has no resource
	// manager, and what is left in it by others is flushed. So is what others left loaded
	// behind a device that has none, which is /dev/tpm0 and its kin. A relative path is
	// resolved by Open.
	Device string
	// Dial connects instead of Device, and again whenever the connection is lost. The
	// same holds for what it connects to as for a socket. It may have Send in two halves as
	// well, Post([]byte) error and Fetch() ([]byte, error), as sockets and devices have here:
	// then there is something to do while the TPM works.
	Dial func() (transport.TPMCloser, error)
	// OwnerAuth is the authorization of the owner hierarchy. It is needed only to make
	// the storage root key, or a counter, on a TPM that has none and whose owner set
	// one. It is read as long as the driver is open.
	OwnerAuth []byte
	// SRK pins the storage root key: its name in hexadecimal, as Info().Device.Serial
	// has it. Another key is driver.ErrWrongDevice. It is looked for at 0x81000001 and at
	// 0x81000010 to 1F, and made again if the TPM can. Empty: the one that is at
	// 0x81000001, made there if that is free, else the first at the other places.
	SRK string
	// Counter is the NV index of a rollback counter, such as 0x01500001; it is made
	// where there is none. 0: no counter.
	Counter uint32
	// RootOnly opens the TPM for a Protector alone: no keys, an empty table, and half the
	// commands. Opening and unlocking together then take ten at most, where the storage
	// root key is there.
	RootOnly bool
	// Queue bounds how many calls wait; more are Throttled. 0: 1024.
	Queue int
	// Patience is how long a call looks for a TPM that went away; 0: half a second.
	Patience time.Duration
	// TrustSoftware reports a software TPM at the level of a chip, for a virtual
	// machine whose host is trusted with its TPM.
	TrustSoftware bool
}

func (c Config) queue() int {
	if c.Queue > 0 {
		return c.Queue
	}
	return 1024
}

func (c Config) patience() time.Duration {
	if c.Patience > 0 {
		return c.Patience
	}
	return 500 * time.Millisecond
}

// redacted keeps what embeds it out of everything that prints.
type redacted = redact.Secret
