package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/driver/soft"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/cli/terminal"
	"strongroom.example/internal/secretsource"
	"strongroom.example/internal/suite"
)

const (
	kindPassphrase   = "passphrase"
	kindRecoveryCode = "recovery-code"
	kindKeyFile      = "key-file"
	kindDevice       = "device"
)

// ErrProtector reports a text that names no protector.
var ErrProtector = fmt.Errorf("%w: a protector is passphrase[:SOURCE], recovery-code[:SOURCE], key-file:PATH or device:NAME[?pcrs=N,…]; "+
	"a SOURCE is prompt, file:PATH, fd:NUMBER or systemd:NAME", ErrSettings)

// Protector returns the protector that spec names:
//
//	passphrase[:SOURCE]        a passphrase; without SOURCE it is asked for
//	recovery-code[:SOURCE]     a recovery code
//	key-file:PATH              a key file
//	device:NAME[?pcrs=N,…]     a device of the settings; for a TPM optionally bound to PCRs
//
// A SOURCE is prompt, file:PATH, fd:NUMBER or systemd:NAME. An error does not quote spec,
// because a user may have typed a secret in it.
func (s *Session) Protector(ctx context.Context, spec string) (driver.Protector, error) {
	return s.protector(ctx, spec, asking{})
}

// ProtectorOf is Protector, and asks for a secret with the text, so that a person knows
// which of two secrets is meant.
func (s *Session) ProtectorOf(ctx context.Context, spec, text string) (driver.Protector, error) {
	return s.protector(ctx, spec, asking{text: " " + text})
}

// asking is how a secret is asked for.
type asking struct {
	text  string // what follows the name of the secret
	twice bool   // a passphrase is new
}

// NewProtector is Protector for a protector that is to be added. A passphrase is asked for
// twice. These are made:
//
//	new-recovery-code[:PATH]   a recovery code, shown on the terminal or written to a new file
//	new-key-file:PATH          a key file
func (s *Session) NewProtector(ctx context.Context, spec string) (driver.Protector, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	switch kind {
	case "new-recovery-code":
		code, err := soft.NewRecoveryCode()
		if err != nil {
			return nil, err
		}
		s.protectors = append(s.protectors, code)
		return code, handOver(code, rest)
	case "new-key-file":
		if rest == "" {
			return nil, ErrProtector
		}
		return soft.KeyFile(rest), soft.CreateKeyFile(rest)
	}
	return s.protector(ctx, spec, asking{twice: true})
}

func (s *Session) protector(ctx context.Context, spec string, ask asking) (driver.Protector, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	switch {
	case kind == kindPassphrase:
		secret, err := readSecret(ctx, rest, "passphrase", ask)
		if err != nil {
			return nil, err
		}
		defer suite.Wipe(secret)
		p := soft.Passphrase(secret)
		s.protectors = append(s.protectors, p)
		return p, nil
	case kind == kindRecoveryCode:
		secret, err := readSecret(ctx, rest, "recovery code", asking{text: ask.text})
		if err != nil {
			return nil, err
		}
		defer suite.Wipe(secret)
		p, err := soft.ParseRecoveryCode(secret)
		if err != nil {
			return nil, err
		}
		s.protectors = append(s.protectors, p)
		return p, nil
	case kind == kindKeyFile && rest != "":
		return soft.KeyFile(rest), nil
	case kind == kindDevice && rest != "":
		return s.deviceProtector(rest)
	}
	return nil, ErrProtector
}

// readSecret reads a passphrase or recovery code from a source; an empty one is prompt.
func readSecret(ctx context.Context, source, name string, ask asking) ([]byte, error) {
	if source == "" {
		source = "prompt"
	}
	kind := secretsource.Kind{Name: name, Max: terminal.MaxSecret}
	from, err := secretsource.Parse(source, func(ctx context.Context) ([]byte, error) {
		if ask.twice {
			return terminal.NewSecret(ctx, name)
		}
		return terminal.Secret(ctx, name+ask.text)
	})
	if err == nil {
		err = from.Check(kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	secret, err := from.Read(ctx, kind)
	if errors.Is(err, terminal.ErrNoTerminal) {
		err = fmt.Errorf("%w: the %s can come from file:PATH, fd:NUMBER or systemd:NAME", err, name)
	}
	return secret, err
}

// deviceProtector returns the protector of a device: its name, and for a TPM the PCRs.
func (s *Session) deviceProtector(rest string) (driver.Protector, error) {
	name, query, bound := strings.Cut(rest, "?")
	switch d := s.devices[name].(type) {
	case *tpm.Driver:
		policy, err := pcrPolicy(query, bound)
		if err != nil {
			return nil, err
		}
		return d.Protector(policy)
	case *pkcs11.Driver:
		if bound {
			return nil, fmt.Errorf("%w: only a TPM has PCRs", ErrSettings)
		}
		return d.Protector(), nil
	case nil:
		return nil, fmt.Errorf("%w: there is no device %q: use --device NAME=URI, or \"devices\" in the configuration file", ErrSettings, name)
	}
	return nil, fmt.Errorf("%w: device %q protects no vault, because it is software", ErrSettings, name)
}

func pcrPolicy(query string, bound bool) (p tpm.Policy, err error) {
	list, ok := strings.CutPrefix(query, "pcrs=")
	switch {
	case !bound:
		return p, nil
	case !ok:
		return p, ErrProtector
	}
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return p, ErrProtector
		}
		p.PCRs = append(p.PCRs, uint(n))
	}
	return p, nil
}

// handOver gives a new recovery code to its owner before it protects anything: to a new
// file at path, or if path is empty to the terminal.
func handOver(code *soft.RecoveryCode, path string) error {
	text := code.AppendCode(suite.NewSecret(128)[:0])
	defer func() { suite.Wipe(text[:cap(text)]) }()
	if path == "" {
		err := terminal.Show("The recovery code opens the vault if everything else is lost. Write it down now; it is not shown again.", text)
		if errors.Is(err, terminal.ErrNoTerminal) {
			err = fmt.Errorf("%w: new-recovery-code:PATH writes the code to a new file", err)
		}
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s exists already: name a new file, or use the code in it by recovery-code:file:%s", ErrSettings, path, path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// unattended returns the protector that opens what spec protected, or an empty text if only
// a person can give it.
func unattended(spec string) (string, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	source, name, _ := strings.Cut(rest, ":")
	switch {
	case kind == "new-key-file" || kind == kindKeyFile:
		path, err := filepath.Abs(rest)
		return kindKeyFile + ":" + path, err
	case kind == kindDevice:
		return kindDevice + ":" + strings.SplitN(rest, "?", 2)[0], nil
	case kind == kindPassphrase && source == "file":
		path, err := filepath.Abs(name)
		return kindPassphrase + ":file:" + path, err
	case kind == kindPassphrase && source == "systemd":
		return spec, nil
	}
	return "", nil
}
