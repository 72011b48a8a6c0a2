package deviceuri

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"strongroom.example/driver/tpm"
	"strongroom.example/internal/pkcs11uri"
)

// tpmConfig returns the configuration of a TPM's URI. The path may have srk. The query may
// have device, counter (the handle of an NV index), queue, patience (a duration) and
// trust-software (true or false). They are the fields of tpm.Config.
func tpmConfig(u pkcs11uri.URI) (tpm.Config, error) {
	var c tpm.Config
	for name, value := range u.Path {
		if name != "srk" {
			return c, unknown(name)
		}
		c.SRK = value
	}
	for name, value := range u.Query {
		if err := setTPM(&c, name, value); err != nil {
			return c, err
		}
	}
	return c, nil
}

func setTPM(c *tpm.Config, name, value string) error {
	var err error
	switch name {
	case "device":
		c.Device = value
	case "counter":
		var index uint64
		index, err = strconv.ParseUint(value, 0, 32)
		c.Counter = uint32(index)
	case "queue":
		if c.Queue, err = strconv.Atoi(value); c.Queue < 0 {
			err = strconv.ErrRange
		}
	case "patience":
		if c.Patience, err = time.ParseDuration(value); c.Patience < 0 {
			err = strconv.ErrRange
		}
	case "trust-software":
		c.TrustSoftware, err = strconv.ParseBool(value)
	case "owner-auth":
		return errors.New("deviceuri: the URI holds a TPM's authorization value: give it by environment or file")
	default:
		return unknown(name)
	}
	if err != nil {
		return fmt.Errorf("deviceuri: %s has a bad value: a handle such as 0x01500001, a number, a duration such as 2s, or true", name)
	}
	return nil
}

func unknown(name string) error {
	return fmt.Errorf("deviceuri: the URI sets %s, which is not supported", name)
}
