package awskms

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"strongroom.example/internal/suite"
	"strongroom.example/vault"
	"strongroom.example/vault/internal/webapi"
)

// A blob is a parameter in base64. It is wiped when the operation has ended.
type blob = webapi.Blob

// An epoch is a time in a request or response: a number of seconds since 1970.
type epoch struct{ time.Time }

// stamp returns t for a response, and nil for no time.
func stamp(t time.Time) *epoch {
	if t.IsZero() {
		return nil
	}
	return &epoch{t}
}

// MarshalJSON returns the seconds with milliseconds.
func (e epoch) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(e.UnixMilli())/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads seconds, to the millisecond.
func (e *epoch) UnmarshalJSON(text []byte) error {
	var seconds float64
	if err := json.Unmarshal(text, &seconds); err != nil {
		return err
	}
	if math.Abs(seconds) > 1<<36 { // the year 4147
		return strconv.ErrRange
	}
	e.Time = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
	return nil
}

// A field is a member of a response that holds plaintext.
type field = webapi.Plaintext

// A reply is the result of an operation.
type reply struct {
	// fields is a struct of the fields of the response, or nil for an empty body.
	fields any
	// plaintext are fields that the handler wipes.
	plaintext []field
}

// wipe wipes the plaintext.
func (r reply) wipe() {
	for _, p := range r.plaintext {
		suite.Wipe(p.Value)
	}
}

// encode returns the body of a response, which the caller wipes.
func (r reply) encode() []byte {
	if r.fields == nil && r.plaintext == nil {
		return []byte{}
	}
	return webapi.EncodeObject("", r.fields, r.plaintext, "}")
}

// served returns the function of an operation whose parameters are a P.
//
// The tag need of a field says what its value must be: "value" means present and not empty. A
// number has the tag range. The tag max is the maximum length of a string or blob.
func served[P any](f func(c call, p *P) (reply, error)) func(call, []byte) (reply, error) {
	parameters := webapi.NewParameters[P]()
	return func(c call, body []byte) (reply, error) {
		p := new(P)
		defer parameters.Wipe(p)
		if err := decode(parameters, body, p); err != nil {
			return reply{}, err
		}
		return f(c, p)
	}
}

// decode reads the parameters into p, a pointer to a struct, and checks them by its tags.
func decode(parameters *webapi.Parameters, body []byte, p any) error {
	switch fault, name := parameters.Decode(body, p); fault {
	case webapi.NotObject:
		return failure{serialization, "The body of the request is not a JSON object."}
	case webapi.UnknownParameter:
		return failure{validation, fmt.Sprintf("The vault knows no parameter %.64q of the operation, and does not ignore it.", name)}
	case webapi.DoubleParameter:
		return failure{serialization, fmt.Sprintf("The name %.64q stands twice in the request.", name)}
	case webapi.NotUnicode:
		return failure{serialization, "A string of the request is not Unicode."}
	case webapi.WrongType:
		return failure{serialization, "A parameter has a value of the wrong JSON type."}
	}
	return parameters.Check(p, checkField)
}

// checkField checks the value of one parameter, given a pointer to it.
func checkField(f reflect.StructField, value any) error {
	length := 0
	switch x := value.(type) {
	case *blob:
		if x.Wrong {
			return failure{serialization, "The parameter " + f.Name + " is not base64."}
		}
		if f.Tag.Get("need") != "" && len(x.Bytes) == 0 {
			return missing(f)
		}
		length = len(x.Bytes)
	case *string:
		length = len(*x)
		if f.Tag.Get("need") != "" && length == 0 {
			return missing(f)
		}
	case **int64:
		return checkRange(f, *x)
	default:
		if v := reflect.ValueOf(x).Elem(); f.Tag.Get("need") != "" && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
			return missing(f)
		}
	}
	if limit, _ := strconv.Atoi(f.Tag.Get("max")); limit > 0 && length > limit {
		return failure{validation, fmt.Sprintf("The parameter %s is longer than %d.", f.Name, limit)}
	}
	return nil
}

func missing(f reflect.StructField) failure {
	return failure{validation, "The parameter " + f.Name + " is missing."}
}

// checkRange checks a number, which may be missing unless it is needed.
func checkRange(f reflect.StructField, n *int64) error {
	if n == nil {
		if f.Tag.Get("need") != "" {
			return missing(f)
		}
		return nil
	}
	low, high, _ := strings.Cut(f.Tag.Get("range"), "-")
	least, _ := strconv.ParseInt(low, 10, 64)
	most, _ := strconv.ParseInt(high, 10, 64)
	if *n < least || *n > most {
		return failure{validation, fmt.Sprintf("The parameter %s is %s to %s.", f.Name, low, high)}
	}
	return nil
}

// grantTokens is the parameter by which a caller uses a grant.
type grantTokens struct {
	GrantTokens []string
}

// check refuses a grant token, because the handler issues none.
func (g grantTokens) check() error {
	if len(g.GrantTokens) > 0 {
		return failure{invalidGrantToken, "The vault issues no grant tokens."}
	}
	return nil
}

// recipient is the parameter of an enclave to which plaintext is encrypted.
type recipient struct {
	Recipient *webapi.Present
}

// check refuses a recipient.
func (r recipient) check() error {
	if r.Recipient != nil {
		return failure{unsupportedOperation, "The vault does not verify attestations of enclaves; remove the parameter Recipient."}
	}
	return nil
}

// dryRun is the parameter by which a caller asks whether it may do an operation.
type dryRun struct {
	DryRun bool
}

// try ends an operation that is a dry run: with the error that the operation would return, or
// with DryRunOperationException if it would be done.
func (d dryRun) try(c call, op vault.Operation, key string, ec vault.EncryptionContext) error {
	if !d.DryRun {
		return nil
	}
	if err := c.Client.DryRun(c, op, key, ec); err != nil {
		return err
	}
	return failure{dryRunOperation, "The request would have succeeded, but the DryRun parameter is set."}
}
