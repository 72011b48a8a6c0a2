package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// TestFaultsOfTheEnvironment: every system error becomes a sentinel error with path and
// remedy, wherever it comes from.
func TestFaultsOfTheEnvironment(t *testing.T) {
	for code, want := range map[syscall.Errno]struct {
		kind   error
		remedy string
	}{
		syscall.EROFS:      {ErrDirectory, "read-only"},
		syscall.EACCES:     {ErrDirectory, "must own"},
		syscall.EPERM:      {ErrDirectory, "must own"},
		syscall.ENOLCK:     {ErrDirectory, "does not lock"},
		syscall.ENOSYS:     {ErrDirectory, "does not lock"},
		syscall.EOPNOTSUPP: {ErrDirectory, "does not lock"},
		syscall.EINVAL:     {ErrDirectory, "does not sync"},
		syscall.EMFILE:     {ErrDirectory, "RLIMIT_NOFILE"},
		syscall.ENFILE:     {ErrDirectory, "RLIMIT_NOFILE"},
		syscall.EFBIG:      {ErrDirectory, "RLIMIT_FSIZE"},
		syscall.ENOMEM:     {ErrDirectory, "memory"},
		syscall.EIO:        {ErrDirectory, "system's log"},
		syscall.ESTALE:     {ErrDirectory, "system's log"},
		syscall.EINTR:      {ErrDirectory, "system's log"},
		syscall.ENOSPC:     {ErrFull, "inodes"},
		syscall.EDQUOT:     {ErrFull, "quota"},
		syscall.EXDEV:      {ErrDirectory, ""},
	} {
		for _, err := range []error{code, &fs.PathError{Op: "open", Path: "x", Err: code}, fmt.Errorf("engine: %w", code)} {
			got := Environment("open", "/some/path", err)
			if !errors.Is(got, want.kind) || !errors.Is(got, code) || !strings.Contains(got.Error(), "/some/path") || !strings.Contains(got.Error(), want.remedy) {
				t.Errorf("Environment of %v: %v, want %v that says %q", err, got, want.kind, want.remedy)
			}
		}
	}
	for _, err := range []error{nil, context.Canceled, ErrCorrupt, fmt.Errorf("%w: %w", ErrInUse, syscall.EAGAIN)} {
		if got := Environment("open", "/some/path", err); got != err {
			t.Errorf("Environment of %v: %v, want it unchanged", err, got)
		}
	}
}
