package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/cli/session"
	"strongroom.example/internal/cli/terminal"
)

// Device opens a device of the settings, and closes it again. Opening it runs its
// self-test.
func Device(ctx context.Context, name, uri string) []Finding {
	if strings.HasPrefix(uri, "pkcs11:") {
		return token(ctx, "device "+name, uri)
	}
	s, err := session.New(ctx, session.Settings{Devices: map[string]string{name: uri}}, session.Options{})
	if err != nil {
		s.Close()
		return []Finding{{Fail, "device " + name, unwrapped(err).Error(), "correct what the error names; --skip-device " + name + " opens the vault without it"}}
	}
	defer s.Close()
	d, ok := s.Device(name).(*tpm.Driver)
	if !ok {
		return []Finding{{OK, "device " + name, "it opens", ""}}
	}
	return chip(ctx, "device "+name, d)
}

// unwrapped returns the driver's own error, without what the session adds.
func unwrapped(err error) error {
	var d *driver.Error
	if errors.As(err, &d) {
		return d
	}
	return err
}

// chip looks at a TPM.
func chip(ctx context.Context, area string, d *tpm.Driver) []Finding {
	info := d.Info()
	list := []Finding{{OK, area, fmt.Sprintf("%s %s, firmware %s; storage root key %s", info.Device.Manufacturer, info.Device.Model,
		info.Device.Firmware, info.Device.Serial), ""}}
	h, err := d.Health(ctx)
	counted := fmt.Sprintf("%d of %d wrong authorizations are counted", h.Failures, h.MaxFailures)
	switch {
	case err != nil:
		return append(list, Finding{Fail, area, err.Error(), "look at the system's log for the TPM"})
	case h.Lockout:
		return append(list, Finding{Warn, area, "the TPM is in lockout: " + counted,
			fmt.Sprintf("find out which program fails; the count falls by one in %v. The vault's keys are not affected", h.Interval)})
	case h.Failures > h.MaxFailures/2:
		return append(list, Finding{Warn, area, counted, "find out which program fails, before the TPM locks"})
	}
	return append(list, Finding{OK, area, counted, ""})
}

// token looks at a token of PKCS #11.
func token(ctx context.Context, area, uri string) []Finding {
	c, err := pkcs11.ParseURI(uri)
	if err != nil {
		return []Finding{{Fail, area, err.Error(), "correct the URI in the configuration file"}}
	}
	list := []Finding{module(area, c.Module)}
	if list[0].Level == Fail {
		return list
	}
	if pin := c.PIN; pin.File == "" && pin.FD == 0 && pin.Env == "" && pin.Credential == "" {
		c.PIN.Ask = func(ctx context.Context) ([]byte, error) { return terminal.Secret(ctx, "PIN of "+area) }
	}
	r, err := pkcs11.Probe(ctx, c)
	if err != nil {
		return append(list, Finding{Fail, area, err.Error(), "correct what the error names; a PIN that is wrong is not tried again and again by the vault"})
	}
	list = append(list, Finding{OK, area, fmt.Sprintf("%s %s, serial %s; module of %s %s; level %s", r.Device.Manufacturer, r.Device.Model,
		r.Device.Serial, r.Module.Manufacturer, r.Module.Version, r.Level), ""})
	if r.PINCountLow {
		list = append(list, Finding{Warn, area, "the token had counted a wrong PIN", "find out who or what tries wrong PINs, before the token locks"})
	}
	return append(list, abilities(area, r.Findings))
}

// module looks whether the module's file is there.
func module(area, path string) Finding {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{Fail, area, "the module " + path + " does not exist", "install the token's software, or correct module-path"}
	case err != nil:
		return Finding{Fail, area, err.Error(), "make the module readable for this user"}
	case info.IsDir():
		return Finding{Fail, area, "the module " + path + " is a directory", "name the library itself in module-path"}
	}
	return Finding{OK, area, "the module " + path + " is there", ""}
}

// abilities sums up the self-test of a token.
func abilities(area string, findings []pkcs11.Finding) Finding {
	var not []string
	for _, f := range findings {
		if !f.Works {
			not = append(not, f.Ability)
		}
	}
	text := fmt.Sprintf("%d of %d abilities work", len(findings)-len(not), len(findings))
	if len(not) == 0 {
		return Finding{OK, area, text, ""}
	}
	return Finding{Note, area, text + "; not " + strings.Join(not, ", "), "keys that need them are made in software, unless the device is named"}
}
