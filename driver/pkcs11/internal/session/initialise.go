//go:build cgo && unix

package session

import (
	"fmt"
	"path/filepath"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// initialise calls C_Initialize. It accepts a module that another library initialised.
func (m *module) initialise() error {
	options := []p11.InitializeOption{}
	if m.args != "" {
		text, free := cryptoki.CString(m.args)
		defer free()
		options = append(options, p11.InitializeWithReserved(text))
	}
	err := cryptoki.Convert("C_Initialize", m.Ctx.Initialize(options...))
	if err != nil && cryptoki.CodeOf(err) != p11.CKR_CRYPTOKI_ALREADY_INITIALIZED {
		return initialiseError(m.path, m.args, err)
	}
	if err == nil {
		m.owned = true
		m.initCount.Add(1)
	}
	m.generation.Add(1)
	return nil
}

// finalise calls C_Finalize if this package initialised the module. It does not check
// first whether the module works, because some modules fail every call after a lost
// connection until C_Finalize. If C_Finalize fails too, the module stays owned, so that
// the next repair calls it again and does not take the module for one that another
// library initialised.
func (m *module) finalise() {
	if !m.owned {
		return
	}
	switch cryptoki.CodeOf(cryptoki.Convert("C_Finalize", m.Ctx.Finalize())) {
	case p11.CKR_OK, p11.CKR_CRYPTOKI_NOT_INITIALIZED:
		m.owned = false
		m.generation.Add(1)
	}
}

// initialiseAdvice is the advice for a module that fails to initialise, selected by the
// beginning of its file name. The modules' own errors say little.
var initialiseAdvice = []struct{ file, advice string }{
	{"libsofthsm2", "SoftHSM must read its configuration and the directory that this names; set SOFTHSM2_CONF to a file of your own, because the one in /etc is for root and the group softhsm"},
	{"libsoftokn3", "the NSS softoken takes its database in Config.Args: configdir='sql:/path/of/the/database' certPrefix='' keyPrefix='' secmod='secmod.db' flags="},
	{"libopencryptoki", "opencryptoki needs its daemon: start pkcsslotd, and be in the group pkcs11"},
	{"PKCS11_API", "opencryptoki needs its daemon: start pkcsslotd, and be in the group pkcs11"},
	{"libtpm2_pkcs11", "libtpm2-pkcs11 must reach the TPM (TPM2_PKCS11_TCTI, by default /dev/tpmrm0, which is for the group tss) and its store (TPM2_PKCS11_STORE); the driver tpm does without it"},
	{"yubihsm_pkcs11", "the YubiHSM module takes its connector in Config.Args, connector=http://127.0.0.1:12345, or a file in YUBIHSM_PKCS11_CONF"},
	{"libkmsp11", "the Google module wants a configuration file: set KMS_PKCS11_CONFIG"},
}

// initialiseError converts the error of a failed C_Initialize. The class is Unavailable,
// whatever the code, unless the module rejects its arguments or cannot lock.
func initialiseError(path, args string, err error) error {
	e := &driver.Error{Op: "C_Initialize", Class: driver.Unavailable, Code: uint64(cryptoki.CodeOf(err)), Err: err}
	if e.Code != 0 {
		e.Err = p11.Error(e.Code)
	}
	advice := "see the module's own documentation for its configuration, and whether this user may read it"
	switch cryptoki.CodeOf(err) {
	case p11.CKR_ARGUMENTS_BAD:
		e.Class = driver.Invalid
		advice = "set Config.Args to what the module wants"
		if args != "" {
			advice = "the module does not take Config.Args as they are"
		}
	case p11.CKR_CANT_LOCK, p11.CKR_NEED_TO_CREATE_THREADS:
		e.Class = driver.Unsupported
		advice = "the module does not lock for itself, so that a program with several threads cannot use it"
	}
	for _, known := range initialiseAdvice {
		if strings.HasPrefix(filepath.Base(path), known.file) && e.Class != driver.Unsupported {
			advice = known.advice
		}
	}
	e.Err = fmt.Errorf("%w; %s", e.Err, advice)
	return e
}
