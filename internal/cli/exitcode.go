package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/cli/session"
	"strongroom.example/internal/cli/terminal"
	"strongroom.example/internal/server"
	"strongroom.example/vault"
	"strongroom.example/vault/stream"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitState       = 3
	exitDenied      = 4
	exitUnavailable = 5
	exitIntegrity   = 6
	exitAttention   = 7
	exitInterrupted = 130
	exitBrokenPipe  = 141
)

// exitCodes lists the exit codes with their meaning for the help.
func exitCodes() []struct {
	Code    int
	Meaning string
} {
	return []struct {
		Code    int
		Meaning string
	}{
		{exitOK, "success"},
		{exitFailed, "any other failure, and what the vault, its edition or its devices do not support"},
		{exitUsage, "the command line, the configuration file or the request is wrong"},
		{exitState, "the vault, key or protector does not exist, exists already, or its state or usage forbids this"},
		{exitDenied, "denied: nothing given opens the vault, a PIN is wrong, or the principal may not do this"},
		{exitUnavailable, "a device, the disk or the vault cannot be used now, such as while another process has it open"},
		{exitIntegrity, "not authentic: a ciphertext, stream, signature, export, or the vault's own data"},
		{exitAttention, "status and doctor: the vault works, and something needs attention"},
		{exitInterrupted, "interrupted by Ctrl-C or SIGTERM"},
		{exitBrokenPipe, "the reader of the standard output went away"},
	}
}

func exitCodesText() string {
	var b strings.Builder
	for _, c := range exitCodes() {
		fmt.Fprintf(&b, "  %3d  %s\n", c.Code, c.Meaning)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var (
	errAttention = errors.New("something needs attention")
	// errNotAuthentic reports a signature or MAC that does not verify.
	errNotAuthentic = errors.New("not authentic")
	// errExplained reports a request that the policies would deny.
	errExplained = fmt.Errorf("%w: the policies do not permit the request", vault.ErrDenied)
)

// A usageError is a fault of the command line.
type usageError struct{ error }

// Unwrap returns the cause.
func (e *usageError) Unwrap() error { return e.error }

// usage returns a usageError with the given text.
func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

var errFormat = usage("the output format is table or json")

// exitErrors assigns errors to exit codes, in the order of precedence.
var exitErrors = []struct {
	code int
	errs []error
}{
	{exitInterrupted, []error{context.Canceled}},
	{exitBrokenPipe, []error{syscall.EPIPE}},
	{exitAttention, []error{errAttention}},
	{exitUsage, []error{session.ErrSettings, server.ErrAddress, server.ErrClients, server.ErrCertificate, terminal.ErrDiffer, terminal.ErrNoTerminal}},
	{exitIntegrity, []error{
		errNotAuthentic, stream.ErrStream, audit.ErrFault, audit.ErrSignature, audit.ErrProof, audit.ErrCheckpoint, audit.ErrCut,
		vault.ErrCiphertext, vault.ErrCorrupt, vault.ErrRolledBack, vault.ErrWrongVault, vault.ErrKeyReplaced, vault.ErrSelfTest,
	}},
	{exitState, []error{vault.ErrNoVault, vault.ErrExists, vault.ErrNotFound, vault.ErrKeyState, vault.ErrUsage}},
	{exitDenied, []error{vault.ErrDenied, vault.ErrUnlock, vault.ErrWrongDevice, driver.Denied}},
	{exitUsage, []error{driver.Invalid, vault.ErrInvalid, vault.ErrTooLarge, stream.ErrInvalid, audit.ErrKey}},
	{exitUnavailable, []error{
		vault.ErrInUse, vault.ErrThrottled, vault.ErrUnavailable, vault.ErrAuditUnavailable, vault.ErrStorageFull,
		vault.ErrLockedMemory, driver.Unavailable, driver.Throttled, syscall.ENOSPC, syscall.EDQUOT,
	}},
}

// exitCode returns the exit code of an error.
func exitCode(err error) int {
	var wrong *usageError
	var mistyped *soft.MistypedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		return exitUsage
	case errors.As(err, &mistyped):
		return exitDenied
	}
	for _, e := range exitErrors {
		for _, target := range e.errs {
			if errors.Is(err, target) {
				return e.code
			}
		}
	}
	return exitFailed
}

// report writes an error to the standard error, and returns the exit code.
func (a *app) report(ctx context.Context, err error) int {
	code := exitCode(err)
	if ctx.Err() != nil && err != nil {
		code = exitInterrupted
	}
	text := ""
	switch code {
	case exitOK, exitBrokenPipe, exitAttention: // the output itself shows it
		return code
	case exitInterrupted:
		text = "interrupted"
	default:
		text = strings.TrimPrefix(err.Error(), "strongroom: ")
	}
	if a.format == formatJSON {
		json.NewEncoder(a.stderr).Encode(map[string]any{"error": text, "exit": code})
		return code
	}
	fmt.Fprintf(a.stderr, "strongroom: %s\n", text)
	var wrong *usageError
	if errors.As(err, &wrong) {
		fmt.Fprintln(a.stderr, "strongroom: --help shows an example of each command")
	}
	return code
}
