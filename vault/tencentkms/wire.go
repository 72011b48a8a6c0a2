package tencentkms

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"strongroom.example/vault"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/webapi"
)

// checkProtocol refuses a request that is neither a POST of JSON nor a GET with its parameters in
// the query.
func checkProtocol(r *http.Request) error {
	switch get := r.Method == http.MethodGet; {
	case !get && r.Method != http.MethodPost:
		return failure{unsupportedProtocol, "The vault supports the methods POST and GET only."}
	case get && !webapi.IsMediaType(r, "application/x-www-form-urlencoded"):
		return failure{unsupportedProtocol, "The vault supports a GET with the content type application/x-www-form-urlencoded only."}
	case get && r.ContentLength != 0:
		return failure{invalidParameter, "A GET has its parameters in the query, and no body."}
	case get && len(r.URL.RawQuery) > MaxBody:
		return failure{requestSizeLimitExceeded, fmt.Sprintf("The query of a request has at most %d bytes.", MaxBody)}
	case get:
		return nil
	case !webapi.IsMediaType(r, "application/json"):
		return failure{unsupportedProtocol, "The vault supports a POST with the content type application/json only."}
	case r.URL.RawQuery != "":
		return failure{invalidParameter, "A POST has its parameters in the body, and no query."}
	}
	return nil
}

// parameters returns the parameters of a request as JSON.
func (o Operation) parameters(r *http.Request, body []byte) ([]byte, error) {
	if r.Method != http.MethodGet {
		return body, nil
	}
	if o.post {
		return nil, failure{unsupportedProtocol, "The action has a plaintext among its parameters, which must not stand in a URL; use POST."}
	}
	return queryParameters(r.URL.RawQuery)
}

// A blob is a parameter in base64. It is wiped when the operation has ended.
type blob = webapi.Blob

// memberAccount is the parameter by which an organisation's administrator acts for another
// account. A vault has no accounts.
type memberAccount struct {
	MemberAccount *present
}

// present records that a parameter has a value.
type present = webapi.Present

// A reply is the result of an operation.
type reply struct {
	// fields is a struct of the fields of the response.
	fields any
	// plaintext is the field Plaintext if it is not nil. The handler wipes it.
	plaintext []byte
}

// served returns the function of an operation whose parameters are a P.
//
// The tag need of a field says what its value must be: "value" means present and not empty,
// "key" the id of a CMK, "key?" the same or nothing, "keys" 1 to 100 ids, and "dataKey" and
// "dataKeys" the same of data keys. The tag code is the error code for a wrong value, if it is
// not the general one.
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
		return failure{invalidParameter, "The body of the request is not a JSON object."}
	case webapi.UnknownParameter:
		return failure{unknownParameter, fmt.Sprintf("The action has no parameter %.64q.", name)}
	case webapi.DoubleParameter:
		return failure{invalidParameter, fmt.Sprintf("The name %.64q stands twice in the request.", name)}
	case webapi.NotUnicode:
		return failure{invalidParameter, "A string of the request is not Unicode."}
	case webapi.WrongType:
		return failure{invalidParameter, "A parameter has a value of the wrong JSON type."}
	}
	return parameters.Check(p, checkField)
}

// checkField checks the value of one parameter, given a pointer to it.
func checkField(f reflect.StructField, value any) error {
	need, v := f.Tag.Get("need"), reflect.ValueOf(value).Elem()
	if b, ok := value.(*blob); ok {
		if code := f.Tag.Get("code"); b.Wrong && code != "" {
			return failure{code, "The parameter " + f.Name + " is not base64."}
		} else if b.Wrong {
			return failure{invalidParameter, "The parameter " + f.Name + " is not base64."}
		}
		if need != "" && b.Bytes == nil {
			return failure{missingParameter, "The parameter " + f.Name + " is missing."}
		}
		return nil
	}
	if f.Name == "MemberAccount" && !v.IsNil() {
		return failure{unsupportedOperation, "A vault has no member accounts; remove the parameter MemberAccount."}
	}
	if need == "key?" && v.IsZero() {
		return nil
	}
	if need != "" && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
		return failure{missingParameter, "The parameter " + f.Name + " is missing."}
	}
	switch ids := value.(type) {
	case *string:
		if need == "key" || need == "key?" {
			return checkKeyIDs(*ids)
		}
		if need == "dataKey" {
			return checkDataKeyIDs(*ids)
		}
	case *[]string:
		if need == "keys" {
			return checkKeyIDs(*ids...)
		}
		if need == "dataKeys" {
			return checkDataKeyIDs(*ids...)
		}
	}
	return nil
}

// checkKeyIDs checks the form of 1 to 100 different ids. An alias is not an id in this API.
func checkKeyIDs(ids ...string) error {
	if len(ids) > 100 {
		return failure{invalidParameter, "A request names at most 100 CMKs."}
	}
	for i, id := range ids {
		if _, ok := keyid.Parse(id); !ok {
			return failure{invalidKeyID, "A KeyId is not the id of a CMK."}
		}
		if slices.Contains(ids[:i], id) {
			return failure{duplicatedKeyID, "A KeyId stands twice in the request."}
		}
	}
	return nil
}

// checkDataKeyIDs is checkKeyIDs for data keys.
func checkDataKeyIDs(ids ...string) error {
	err := checkKeyIDs(ids...)
	var f failure
	if !errors.As(err, &f) {
		return err
	}
	switch f.code {
	case invalidKeyID:
		return failure{invalidDataKeyID, "A DataKeyId is not the id of a data key."}
	case duplicatedKeyID:
		return failure{duplicatedDataKeyID, "A DataKeyId stands twice in the request."}
	}
	return failure{invalidParameter, "A request names at most 100 data keys."}
}

// parseContext parses an encryption context, which the API has as a JSON object in a string.
func parseContext(text string) (vault.EncryptionContext, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) <= 1024 {
		if ec, fault := webapi.DecodeStrings([]byte(text)); fault == webapi.None {
			return ec, nil
		}
	}
	return nil, failure{invalidParameter, "An encryption context is a JSON object of strings with at most 1024 characters, and each name stands in it once."}
}

// encode returns the body of a response, which the caller wipes.
func (r reply) encode(id string) []byte {
	var plaintext []webapi.Plaintext
	if r.plaintext != nil {
		plaintext = []webapi.Plaintext{{Name: "Plaintext", Value: r.plaintext}}
	}
	return webapi.EncodeObject(`{"Response":`, r.fields, plaintext, `"RequestId":"`+id+`"}}`)
}

// encodeFailure returns the body of a response with an error.
func encodeFailure(f failure, id string) []byte {
	return reply{fields: struct {
		Error struct{ Code, Message string }
	}{struct{ Code, Message string }{f.code, f.message}}}.encode(id)
}
