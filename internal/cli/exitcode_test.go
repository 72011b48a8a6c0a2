package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/vault"
	"strongroom.example/vault/stream"
)

func TestExitCode(t *testing.T) {
	denied := fmt.Errorf("%w: %w", vault.ErrUnavailable, &driver.Error{Op: "C_Login", Class: driver.Denied})
	for err, want := range map[error]int{
		nil: exitOK, errors.New("other"): exitFailed, vault.ErrUnsupported: exitFailed, usage("wrong"): exitUsage,
		vault.ErrInvalid: exitUsage, vault.ErrNotFound: exitState, vault.ErrKeyState: exitState, vault.ErrUnlock: exitDenied,
		denied: exitDenied, vault.ErrInUse: exitUnavailable, vault.ErrReplaced: exitUnavailable, syscall.ENOSPC: exitUnavailable,
		vault.ErrCiphertext: exitIntegrity, stream.ErrStream: exitIntegrity, vault.ErrWrongVault: exitIntegrity,
		errAttention: exitAttention, context.Canceled: exitInterrupted, syscall.EPIPE: exitBrokenPipe,
	} {
		if err != nil {
			err = fmt.Errorf("around: %w", err)
		}
		if got := exitCode(err); got != want {
			t.Errorf("exit code of %v is %d, want %d", err, got, want)
		}
	}
}

// TestReport checks that each exit code other than success has a text, and that those whose
// reason the output shows have none.
func TestReport(t *testing.T) {
	for _, c := range exitCodes() {
		if c.Meaning == "" {
			t.Errorf("exit code %d has no meaning", c.Code)
		}
	}
	for err, want := range map[error]string{
		nil: "", errAttention: "", syscall.EPIPE: "", context.Canceled: "interrupted",
		vault.ErrNotFound: "not found", usage("wrong"): "--help",
	} {
		var out bytes.Buffer
		(&app{stderr: &out}).report(t.Context(), err)
		if got := out.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("the report of %v is %q", err, got)
		}
	}
}
