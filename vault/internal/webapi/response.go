package webapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"strongroom.example/internal/suite"
)

// A Plaintext is a member of a response whose value is in base64.
type Plaintext struct {
	Name  string
	Value []byte
}

// EncodeObject returns a JSON object with the members of v, a struct of strings, numbers and
// slices or nil, and with plaintext. before stands in front of the object. after ends it, and may
// begin with a member. The caller wipes the result. It is the only copy of plaintext, which
// encoding/json would leave in its buffers.
func EncodeObject(before string, v any, plaintext []Plaintext, after string) []byte {
	if v == nil {
		v = struct{}{}
	}
	room := len(",") + len(after)
	for _, p := range plaintext {
		room += len(`,"":""`) + len(p.Name) + base64.StdEncoding.EncodedLen(len(p.Value))
	}
	w := writer{[]byte(before), room}
	json.NewEncoder(&w).Encode(v) // such structs do not fail
	out := w.text[:len(w.text)-len("}\n")]
	for _, p := range plaintext {
		out = append(append(append(comma(out), '"'), p.Name...), `":"`...)
		out = append(base64.StdEncoding.AppendEncode(out, p.Value), '"')
	}
	if after[0] == '"' {
		out = comma(out)
	}
	return append(out, after...)
}

// comma appends the comma before a member that is not the first.
func comma(object []byte) []byte {
	if object[len(object)-1] == '{' {
		return object
	}
	return append(object, ',')
}

// A writer appends what is written, and has room for more behind it.
type writer struct {
	text []byte
	room int
}

// Write implements io.Writer.
func (w *writer) Write(b []byte) (int, error) {
	w.text = append(slices.Grow(w.text, len(b)+w.room), b...)
	return len(b), nil
}

// Respond writes a response whose body is body, and wipes body. The response must not be
// stored by anything between the handler and its client.
func Respond(w http.ResponseWriter, status int, contentType string, body []byte) {
	defer suite.Wipe(body)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // an error means that the client has gone, and the operation is done
}
