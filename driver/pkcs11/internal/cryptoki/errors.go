//go:build cgo && unix

package cryptoki

import (
	"context"
	"errors"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// A ReturnError is a return value of the module other than CKR_OK.
type ReturnError struct {
	Call string
	code uint
}

func (e *ReturnError) Error() string { return fmt.Sprintf("%s: %s", e.Call, p11.Error(e.code)) }

// Check returns the error for a return value, nil for CKR_OK.
func Check(call string, rv uint) error {
	if rv == p11.CKR_OK {
		return nil
	}
	return &ReturnError{call, rv}
}

// Convert converts an error that miekg/pkcs11 returned from a call.
func Convert(call string, err error) error {
	if rv, ok := errors.AsType[p11.Error](err); ok {
		return &ReturnError{call, uint(rv)}
	}
	return err
}

// CodeOf returns the return value in an error, or CKR_OK if there is none.
func CodeOf(err error) uint {
	if e, ok := errors.AsType[*ReturnError](err); ok {
		return e.code
	}
	return p11.CKR_OK
}

// A Recovery is an action that may help after a failure. A later one includes the earlier
// ones.
type Recovery uint8

const (
	// None: no repair helps, and the error is returned.
	None Recovery = iota
	// Retry: use another session, look the object up again, and log in if the login is
	// lost.
	Retry
	// Reinitialise: initialise the module again.
	Reinitialise
	// Ambiguous: the cause may be the input or the token. The sentinel decides.
	Ambiguous
)

// A Classification is the class of an error and the recovery from it.
type Classification struct {
	Class    driver.Class
	Recovery Recovery
}

// classifications has the meaning of return values, independent of the function that was
// called.
var classifications = map[uint]Classification{
	p11.CKR_SESSION_HANDLE_INVALID:        {driver.Unavailable, Retry},
	p11.CKR_SESSION_CLOSED:                {driver.Unavailable, Retry},
	p11.CKR_OPERATION_ACTIVE:              {driver.Unavailable, Retry},
	p11.CKR_OPERATION_NOT_INITIALIZED:     {driver.Unavailable, Retry},
	p11.CKR_OBJECT_HANDLE_INVALID:         {driver.Unavailable, Retry},
	p11.CKR_KEY_HANDLE_INVALID:            {driver.Unavailable, Retry},
	p11.CKR_UNWRAPPING_KEY_HANDLE_INVALID: {driver.Unavailable, Retry},
	p11.CKR_USER_NOT_LOGGED_IN:            {driver.Unavailable, Retry},
	p11.CKR_FUNCTION_CANCELED:             {driver.Unavailable, Retry},
	p11.CKR_CRYPTOKI_NOT_INITIALIZED:      {driver.Unavailable, Reinitialise},
	p11.CKR_DEVICE_REMOVED:                {driver.Unavailable, Reinitialise},
	p11.CKR_TOKEN_NOT_PRESENT:             {driver.Unavailable, Reinitialise},
	p11.CKR_TOKEN_NOT_RECOGNIZED:          {driver.Unavailable, Reinitialise},
	p11.CKR_SLOT_ID_INVALID:               {driver.Unavailable, Reinitialise},
	p11.CKR_DEVICE_ERROR:                  {driver.Unavailable, Ambiguous},
	p11.CKR_FUNCTION_FAILED:               {driver.Unavailable, Ambiguous},
	p11.CKR_GENERAL_ERROR:                 {driver.Unknown, Ambiguous},
	p11.CKR_BUFFER_TOO_SMALL:              {driver.Unknown, Retry},

	p11.CKR_DEVICE_MEMORY: {driver.Throttled, None},
	p11.CKR_SESSION_COUNT: {driver.Throttled, None},
	p11.CKR_HOST_MEMORY:   {driver.Throttled, None},

	p11.CKR_ENCRYPTED_DATA_INVALID:   {driver.Authentic, None},
	p11.CKR_ENCRYPTED_DATA_LEN_RANGE: {driver.Authentic, None},
	p11.CKR_WRAPPED_KEY_INVALID:      {driver.Authentic, None},
	p11.CKR_WRAPPED_KEY_LEN_RANGE:    {driver.Authentic, None},
	ckrAEADDecryptFailed:             {driver.Authentic, None},

	p11.CKR_DATA_INVALID:               {driver.Invalid, None},
	p11.CKR_DATA_LEN_RANGE:             {driver.Invalid, None},
	p11.CKR_ARGUMENTS_BAD:              {driver.Invalid, None},
	p11.CKR_MECHANISM_PARAM_INVALID:    {driver.Invalid, None},
	p11.CKR_TEMPLATE_INCOMPLETE:        {driver.Invalid, None},
	p11.CKR_TEMPLATE_INCONSISTENT:      {driver.Invalid, None},
	p11.CKR_ATTRIBUTE_TYPE_INVALID:     {driver.Invalid, None},
	p11.CKR_ATTRIBUTE_VALUE_INVALID:    {driver.Invalid, None},
	p11.CKR_MECHANISM_INVALID:          {driver.Unsupported, None},
	p11.CKR_FUNCTION_NOT_SUPPORTED:     {driver.Unsupported, None},
	p11.CKR_CURVE_NOT_SUPPORTED:        {driver.Unsupported, None},
	p11.CKR_DOMAIN_PARAMS_INVALID:      {driver.Unsupported, None},
	p11.CKR_KEY_SIZE_RANGE:             {driver.Unsupported, None},
	p11.CKR_KEY_TYPE_INCONSISTENT:      {driver.Unsupported, None},
	p11.CKR_KEY_FUNCTION_NOT_PERMITTED: {driver.Unsupported, None},

	p11.CKR_PIN_INCORRECT:                  {driver.Denied, None},
	p11.CKR_PIN_INVALID:                    {driver.Denied, None},
	p11.CKR_PIN_LEN_RANGE:                  {driver.Denied, None},
	p11.CKR_PIN_EXPIRED:                    {driver.Denied, None},
	p11.CKR_PIN_LOCKED:                     {driver.Denied, None},
	p11.CKR_USER_PIN_NOT_INITIALIZED:       {driver.Denied, None},
	p11.CKR_USER_TYPE_INVALID:              {driver.Denied, None},
	p11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN: {driver.Denied, None},
	p11.CKR_USER_TOO_MANY_TYPES:            {driver.Denied, None},
	p11.CKR_SESSION_READ_ONLY:              {driver.Denied, None},
	p11.CKR_SESSION_READ_ONLY_EXISTS:       {driver.Denied, None},
	p11.CKR_TOKEN_WRITE_PROTECTED:          {driver.Denied, None},
}

const (
	ckrAEADDecryptFailed = 0x42
	ckrVendorDefined     = 0x80000000
)

// The errors of this driver, beside those that the module returns. Classify has the class
// of each.
var (
	ErrAbsent        = errors.New("the token has no such object")
	ErrNotConforming = errors.New("the token has an object under the key's id whose size, attributes or roles are not the key's: somebody changed or replaced it")
	ErrStale         = errors.New("the module was initialised again")
	ErrDown          = errors.New("the token is not available")
	ErrHidden        = errors.New("the token shows half of a pair, and may hide the other half")
	ErrFailedDestroy = errors.New("the token failed to destroy an object and now hides it: after its next start it may be there again")
	ErrCiphertext    = errors.New("ciphertext does not decrypt")
)

// Classify returns the classification of an error. For calls that take a ciphertext, an
// error that elsewhere means a wrong argument is attributed to the ciphertext, and so is
// an ambiguous one. CKR_DEVICE_ERROR is not, because CloudHSM returns it when it is
// throttled.
func Classify(err error) Classification {
	var e *ReturnError
	switch {
	case errors.As(err, &e):
		return classifyCode(e)
	case errors.Is(err, ErrAbsent):
		return Classification{driver.NotFound, Ambiguous}
	case errors.Is(err, ErrNotConforming):
		return Classification{driver.Authentic, Ambiguous}
	case errors.Is(err, ErrFailedDestroy):
		return Classification{driver.Unknown, Reinitialise}
	case errors.Is(err, ErrStale), errors.Is(err, ErrDown), errors.Is(err, ErrHidden):
		return Classification{driver.Unavailable, Retry}
	}
	return Classification{driver.Unknown, None}
}

func classifyCode(e *ReturnError) Classification {
	v, known := classifications[e.code]
	if !known && e.code >= ckrVendorDefined {
		v = Classification{driver.Unknown, Ambiguous}
	}
	ofInput := v.Class == driver.Invalid || v.Recovery == Ambiguous && e.code != p11.CKR_DEVICE_ERROR
	if e.Call == "C_UnwrapKey" && e.code == p11.CKR_KEY_SIZE_RANGE { // NSS returns it for the length of the unwrapped key
		ofInput = true
	}
	if ofInput && (e.Call == "C_Decrypt" || e.Call == "C_UnwrapKey") {
		v.Class = driver.Authentic
	}
	return v
}

// DriverError converts an error to the one that callers get. The error does not say what is
// wrong with a ciphertext.
func DriverError(err error) error {
	var known *driver.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	v := Classify(err)
	e := &driver.Error{Op: "token", Class: v.Class, Err: err}
	if c := (*ReturnError)(nil); errors.As(err, &c) {
		e.Op, e.Code, e.Err = c.Call, uint64(c.code), p11.Error(c.code)
	}
	if t := (*AbilityError)(nil); errors.As(err, &t) {
		e.Err = &AbilityError{t.Ability, e.Err}
	}
	if v.Class == driver.Authentic && !errors.Is(err, ErrNotConforming) {
		e.Code, e.Err = 0, ErrCiphertext
	}
	return e
}

// An AbilityError is a failure that ended the self-test, with the ability that was being
// tried.
type AbilityError struct {
	Ability string
	Err     error
}

func (e *AbilityError) Error() string {
	return e.Err.Error() + " when the self-test tried " + e.Ability + ", which Config.Without can leave out"
}

func (e *AbilityError) Unwrap() error { return e.Err }
