//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// A cure is an action that may help after a failure. A later one includes the earlier
// ones.
type cure uint8

const (
	// nothing: no repair helps, and the error is returned.
	nothing cure = iota
	// again: use another session, look the object up again, and log in if the login is
	// lost.
	again
	// renewal: initialise the module again.
	renewal
	// doubt: the cause may be the input or the token. The sentinel decides.
	doubt
)

// A verdict is the class of an error and its cure.
type verdict struct {
	class driver.Class
	cure  cure
}

// verdicts has the meaning of return values, independent of the function that was called.
var verdicts = map[uint]verdict{
	p11.CKR_SESSION_HANDLE_INVALID:        {driver.Unavailable, again},
	p11.CKR_SESSION_CLOSED:                {driver.Unavailable, again},
	p11.CKR_OPERATION_ACTIVE:              {driver.Unavailable, again},
	p11.CKR_OPERATION_NOT_INITIALIZED:     {driver.Unavailable, again},
	p11.CKR_OBJECT_HANDLE_INVALID:         {driver.Unavailable, again},
	p11.CKR_KEY_HANDLE_INVALID:            {driver.Unavailable, again},
	p11.CKR_UNWRAPPING_KEY_HANDLE_INVALID: {driver.Unavailable, again},
	p11.CKR_USER_NOT_LOGGED_IN:            {driver.Unavailable, again},
	p11.CKR_FUNCTION_CANCELED:             {driver.Unavailable, again},
	p11.CKR_CRYPTOKI_NOT_INITIALIZED:      {driver.Unavailable, renewal},
	p11.CKR_DEVICE_REMOVED:                {driver.Unavailable, renewal},
	p11.CKR_TOKEN_NOT_PRESENT:             {driver.Unavailable, renewal},
	p11.CKR_TOKEN_NOT_RECOGNIZED:          {driver.Unavailable, renewal},
	p11.CKR_SLOT_ID_INVALID:               {driver.Unavailable, renewal},
	p11.CKR_DEVICE_ERROR:                  {driver.Unavailable, doubt},
	p11.CKR_FUNCTION_FAILED:               {driver.Unavailable, doubt},
	p11.CKR_GENERAL_ERROR:                 {driver.Unknown, doubt},
	p11.CKR_BUFFER_TOO_SMALL:              {driver.Unknown, again},

	p11.CKR_DEVICE_MEMORY: {driver.Throttled, nothing},
	p11.CKR_SESSION_COUNT: {driver.Throttled, nothing},
	p11.CKR_HOST_MEMORY:   {driver.Throttled, nothing},

	p11.CKR_ENCRYPTED_DATA_INVALID:   {driver.Authentic, nothing},
	p11.CKR_ENCRYPTED_DATA_LEN_RANGE: {driver.Authentic, nothing},
	p11.CKR_WRAPPED_KEY_INVALID:      {driver.Authentic, nothing},
	p11.CKR_WRAPPED_KEY_LEN_RANGE:    {driver.Authentic, nothing},
	ckrAEADDecryptFailed:             {driver.Authentic, nothing},

	p11.CKR_DATA_INVALID:               {driver.Invalid, nothing},
	p11.CKR_DATA_LEN_RANGE:             {driver.Invalid, nothing},
	p11.CKR_ARGUMENTS_BAD:              {driver.Invalid, nothing},
	p11.CKR_MECHANISM_PARAM_INVALID:    {driver.Invalid, nothing},
	p11.CKR_TEMPLATE_INCOMPLETE:        {driver.Invalid, nothing},
	p11.CKR_TEMPLATE_INCONSISTENT:      {driver.Invalid, nothing},
	p11.CKR_ATTRIBUTE_TYPE_INVALID:     {driver.Invalid, nothing},
	p11.CKR_ATTRIBUTE_VALUE_INVALID:    {driver.Invalid, nothing},
	p11.CKR_MECHANISM_INVALID:          {driver.Unsupported, nothing},
	p11.CKR_FUNCTION_NOT_SUPPORTED:     {driver.Unsupported, nothing},
	p11.CKR_CURVE_NOT_SUPPORTED:        {driver.Unsupported, nothing},
	p11.CKR_DOMAIN_PARAMS_INVALID:      {driver.Unsupported, nothing},
	p11.CKR_KEY_SIZE_RANGE:             {driver.Unsupported, nothing},
	p11.CKR_KEY_TYPE_INCONSISTENT:      {driver.Unsupported, nothing},
	p11.CKR_KEY_FUNCTION_NOT_PERMITTED: {driver.Unsupported, nothing},

	p11.CKR_PIN_INCORRECT:                  {driver.Denied, nothing},
	p11.CKR_PIN_INVALID:                    {driver.Denied, nothing},
	p11.CKR_PIN_LEN_RANGE:                  {driver.Denied, nothing},
	p11.CKR_PIN_EXPIRED:                    {driver.Denied, nothing},
	p11.CKR_PIN_LOCKED:                     {driver.Denied, nothing},
	p11.CKR_USER_PIN_NOT_INITIALIZED:       {driver.Denied, nothing},
	p11.CKR_USER_TYPE_INVALID:              {driver.Denied, nothing},
	p11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN: {driver.Denied, nothing},
	p11.CKR_USER_TOO_MANY_TYPES:            {driver.Denied, nothing},
	p11.CKR_SESSION_READ_ONLY:              {driver.Denied, nothing},
	p11.CKR_SESSION_READ_ONLY_EXISTS:       {driver.Denied, nothing},
	p11.CKR_TOKEN_WRITE_PROTECTED:          {driver.Denied, nothing},
}

const (
	ckrAEADDecryptFailed = 0x42
	ckrVendorDefined     = 0x80000000
)

var (
	errClosed     = errors.New("closed")
	errSpec       = errors.New("spec not offered")
	errAlgorithm  = errors.New("algorithm not offered for this key")
	errLength     = errors.New("input of a wrong length")
	errBlob       = errors.New("keys of a token have no blob")
	errAbsent     = errors.New("the token has no such object")
	errNotFit     = errors.New("the token has an object under the key's id whose size, attributes or roles are not the key's: somebody changed or replaced it")
	errStale      = errors.New("the module was initialised again")
	errDown       = errors.New("the token is away")
	errHidden     = errors.New("the token shows half of a pair, and may hide the other half")
	errSurvivor   = errors.New("the token failed to destroy an object and now hides it: after its next start it may be there again")
	errCiphertext = errors.New("ciphertext does not decrypt")
)

// judge returns the verdict on an error. For calls that take a ciphertext, an error that
// elsewhere means a wrong argument is attributed to the ciphertext, and so is an
// ambiguous one. CKR_DEVICE_ERROR is not, because CloudHSM returns it when it is
// throttled.
func judge(err error) verdict {
	var e *codeError
	switch {
	case errors.As(err, &e):
		return judgeCode(e)
	case errors.Is(err, errAbsent):
		return verdict{driver.NotFound, doubt}
	case errors.Is(err, errNotFit):
		return verdict{driver.Authentic, doubt}
	case errors.Is(err, errSurvivor):
		return verdict{driver.Unknown, renewal}
	case errors.Is(err, errStale), errors.Is(err, errDown), errors.Is(err, errHidden):
		return verdict{driver.Unavailable, again}
	}
	return verdict{driver.Unknown, nothing}
}

func judgeCode(e *codeError) verdict {
	v, known := verdicts[e.code]
	if !known && e.code >= ckrVendorDefined {
		v = verdict{driver.Unknown, doubt}
	}
	blames := v.class == driver.Invalid || v.cure == doubt && e.code != p11.CKR_DEVICE_ERROR
	if e.call == "C_UnwrapKey" && e.code == p11.CKR_KEY_SIZE_RANGE { // NSS returns it for the length of the unwrapped key
		blames = true
	}
	if blames && (e.call == "C_Decrypt" || e.call == "C_UnwrapKey") {
		v.class = driver.Authentic
	}
	return v
}

// failed converts an error to the one that callers get. The error does not say what is
// wrong with a ciphertext.
func failed(err error) error {
	var known *driver.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	v := judge(err)
	e := &driver.Error{Op: "token", Class: v.class, Err: err}
	if c := (*codeError)(nil); errors.As(err, &c) {
		e.Op, e.Code, e.Err = c.call, uint64(c.code), p11.Error(c.code)
	}
	if t := (*trialError)(nil); errors.As(err, &t) {
		e.Err = &trialError{t.ability, e.Err}
	}
	if v.class == driver.Authentic && !errors.Is(err, errNotFit) {
		e.Code, e.Err = 0, errCiphertext
	}
	return e
}
