//go:build cgo && unix

package cryptoki

import (
	"errors"
	"fmt"
	"strings"

	p11 "github.com/miekg/pkcs11"
)

// A Library is a loaded PKCS #11 module: its function list, and the context of
// miekg/pkcs11 for the calls that carry no secrets. It is never unloaded.
type Library struct {
	functionList
	Ctx *p11.Ctx
	// Info is the result of C_GetInfo after the first initialisation.
	Info LibraryInfo
}

// A LibraryInfo has the result of C_GetInfo. It is the zero value if that call fails.
type LibraryInfo struct {
	Manufacturer, Description string
	// Version is the version of the library, and Cryptoki the version of the standard,
	// such as "2.40".
	Version, Cryptoki string
}

// NewLibrary reads the function list of a loaded module, once.
func NewLibrary(path string) (*Library, error) {
	ctx := p11.New(path)
	if ctx == nil {
		return nil, errNoList
	}
	list, err := functionListOf(ctx)
	if err != nil {
		return nil, err
	}
	return &Library{functionList: list, Ctx: ctx}, nil
}

// ReadInfo calls C_GetInfo.
func (l *Library) ReadInfo() {
	info, err := l.Ctx.GetInfo()
	if err != nil {
		return
	}
	l.Info = LibraryInfo{
		Manufacturer: TrimPadding(info.ManufacturerID),
		Description:  TrimPadding(info.LibraryDescription),
		Version:      FormatVersion(info.LibraryVersion),
		Cryptoki:     FormatVersion(info.CryptokiVersion),
	}
}

// Open opens a session. All sessions are read-write, because some tokens have no
// read-only ones.
func (l *Library) Open(slot uint) (p11.SessionHandle, error) {
	s, err := l.Ctx.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	return s, Convert("C_OpenSession", err)
}

// NoMoreSessions reports whether a session could not be opened because the token has too
// many.
func NoMoreSessions(err error) bool {
	e, ok := errors.AsType[*ReturnError](err)
	return ok && e.Call == "C_OpenSession" &&
		(e.code == p11.CKR_SESSION_COUNT || e.code == p11.CKR_DEVICE_MEMORY || e.code == p11.CKR_HOST_MEMORY)
}

// TrimPadding removes the padding: spaces as in the standard, and NULs as in some modules.
func TrimPadding(s string) string { return strings.TrimRight(s, " \x00") }

// FormatVersion formats a CK_VERSION as "major.minor".
func FormatVersion(v p11.Version) string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }
