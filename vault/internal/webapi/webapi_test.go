package webapi

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// echo responds with the body of the request, and a status.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := ReadBody(w, r, 16)
	if err != nil {
		Respond(w, http.StatusBadRequest, "text/plain", []byte(err.Error()))
		return
	}
	Respond(w, http.StatusAccepted, "text/plain", append([]byte("read "), body...))
})

func send(t *testing.T, body io.Reader) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://kms.local", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := Transport(echo).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestResponseIsWiped reads a response through the transport, and closes it.
func TestResponseIsWiped(t *testing.T) {
	res := send(t, strings.NewReader("secret"))
	kept := res.Body.(*wipedBody).body
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != "read secret" || !bytes.Equal(got, kept) || int64(len(got)) != res.ContentLength || res.StatusCode != http.StatusAccepted {
		t.Errorf("%s %d %v", got, res.StatusCode, err)
	}
	if err := res.Body.Close(); err != nil || !bytes.Equal(kept, make([]byte, len(kept))) {
		t.Errorf("after Close: %q %v", kept, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := http.NewRequestWithContext(ended, http.MethodPost, "http://kms.local", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Transport(echo).RoundTrip(r); err != context.Canceled {
		t.Errorf("of a canceled request: %v", err)
	}
}

// TestReadBody sends bodies of which the length is declared, or not.
func TestReadBody(t *testing.T) {
	for _, x := range []struct {
		body string
		want int
	}{{"", 202}, {strings.Repeat("a", 16), 202}, {strings.Repeat("a", 17), 400}, {strings.Repeat("a", 1<<20), 400}} {
		for _, r := range []io.Reader{strings.NewReader(x.body), io.MultiReader(strings.NewReader(x.body))} {
			res := send(t, r)
			got, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != x.want || x.want == 202 && string(got) != "read "+x.body {
				t.Errorf("%d bytes: %d %s %v", len(x.body), res.StatusCode, got, err)
			}
		}
	}
}

// TestKeyring compares signatures with a derivation by the standard library.
func TestKeyring(t *testing.T) {
	k := NewKeyring[string]()
	if err := k.Add("id", "AWS4", []byte("a secret of one"), "alice"); err != nil {
		t.Fatal(err)
	}
	key := []byte("AWS4a secret of one")
	for _, step := range []string{"day", "region", "message"} {
		m := hmac.New(sha256.New, key)
		io.WriteString(m, step)
		key = m.Sum(nil)
	}
	for range 2 { // the second time with the derived key
		if p, known, valid := k.Verify("id", []byte("message"), key, "day", "region"); p != "alice" || !known || !valid || !k.Has("id") {
			t.Error(p, known, valid)
		}
		for _, steps := range [][]string{{"day"}, {"day", "another"}, {"day", "region", "message"}, {"dayregion"}} {
			if _, known, valid := k.Verify("id", []byte("message"), key, steps...); !known || valid {
				t.Errorf("the signature is valid for %q", steps)
			}
		}
		if _, known, valid := k.Verify("id", []byte("another"), key, "day", "region"); !known || valid {
			t.Error("the signature of another message is valid")
		}
	}
	if err := k.Add("other", "AWS4", []byte("another secret  "), "bob"); err != nil {
		t.Fatal(err)
	}
	if _, known, valid := k.Verify("other", []byte("message"), key, "day", "region"); !known || valid {
		t.Error("the signature of another key is valid")
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if _, known, valid := k.Verify("id", []byte("message"), key, "day", "region"); known || valid || k.Has("id") {
		t.Error("after Close the key is known")
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzDecode decodes bodies into a struct, and checks that no blob is left.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"A":"a","B":"c2VjcmV0"}`))
	f.Add([]byte(`{"B":"c2VjcmV0","B":"\u0061===","a":1}`))
	f.Add([]byte(`null`))
	type two struct {
		A string
		B Blob
	}
	parameters := NewParameters[two]()
	f.Fuzz(func(t *testing.T, body []byte) {
		var p two
		if fault, name := parameters.Decode(body, &p); fault != UnknownParameter && fault != DoubleParameter && name != "" {
			t.Errorf("%d %q", fault, name)
		}
		kept := p.B.Bytes
		parameters.Wipe(&p)
		if !bytes.Equal(kept, make([]byte, len(kept))) {
			t.Errorf("left: %q", kept)
		}
	})
}

// TestEncodeObject checks responses against encoding/json.
func TestEncodeObject(t *testing.T) {
	type response struct {
		A, I string
		P, Q []byte
	}
	text, secret := struct{ A string }{"<\"\n"}, []byte("p\x00\xff")
	for _, x := range []struct {
		v         any
		plaintext []Plaintext
		after     string
		want      response
	}{
		{nil, nil, "}", response{}},
		{struct{}{}, nil, "}", response{}},
		{text, nil, "}", response{A: text.A}},
		{nil, []Plaintext{{"P", secret}}, "}", response{P: secret}},
		{text, []Plaintext{{"P", secret}, {"Q", nil}}, "}", response{A: text.A, P: secret, Q: []byte{}}},
		{nil, nil, `"I":"i"}`, response{I: "i"}},
		{text, nil, `"I":"i"}`, response{A: text.A, I: "i"}},
		{struct{}{}, []Plaintext{{"P", secret}}, `"I":"i"}`, response{I: "i", P: secret}},
		{text, []Plaintext{{"P", secret}, {"Q", secret}}, `"I":"i"}`, response{text.A, "i", secret, secret}},
	} {
		out := EncodeObject("[", x.v, x.plaintext, x.after)[1:]
		var got response
		if err := json.Unmarshal(out, &got); err != nil || !reflect.DeepEqual(got, x.want) {
			t.Errorf("%s: %+v, %v; want %+v", out, got, err, x.want)
		}
	}
}

// TestBlob compares a Blob with encoding/json, for values with and without escape sequences.
// Only a Blob refuses a list of numbers.
func TestBlob(t *testing.T) {
	for _, text := range []string{`""`, `"cGxhaW4="`, `"cGxhaW4"`, `"cGxh\u0061W4="`, `"cGxh\naW4\u003d"`, `"cGxh\r\naW4="`, `"cG\/h"`, `"cG\\h"`, `"cG\th"`, `"cGx\u0161"`,
		`"\u0000"`, `"!"`, `"cGxhaW4=="`, `null`, `7`, `["cGxhaW4="]`, `{}`, `true`} {
		var got struct{ B Blob }
		var want struct{ B []byte }
		err := json.Unmarshal([]byte(`{"B":`+text+`}`), &want)
		if err := json.Unmarshal([]byte(`{"B":`+text+`}`), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got.B.Wrong != (err != nil) || err == nil && (!bytes.Equal(got.B.Bytes, want.B) || (got.B.Bytes == nil) != (want.B == nil)) {
			t.Errorf("%s: %q, wrong: %v; encoding/json has %q, %v", text, got.B.Bytes, got.B.Wrong, want.B, err)
		}
	}
	var list Blob
	if err := json.Unmarshal([]byte(`[112]`), &list); err != nil || !list.Wrong || list.Bytes != nil {
		t.Errorf("a list of numbers: %+v, %v", list, err)
	}
}

// A nested is a parameter with parameters of its own.
type nested struct {
	Name  string
	Names []string
}

// decoded are parameters of every kind.
type decoded struct {
	nested
	Nested  nested
	List    []nested
	Pointer *nested
	Map     map[string]string
	Blob    Blob
	Present *Present
	Any     []Present
	Number  *int64
}

// TestDecode decodes bodies that encoding/json accepts. A body without a fault has one meaning.
func TestDecode(t *testing.T) {
	parameters := NewParameters[decoded]()
	for _, x := range []struct {
		body string
		want Fault
		name string
	}{
		{` { } `, None, ""},
		{`{"Name":"a","Names":["b",""],"Nested":{"Name":"\ud83d\ude00"},"List":[{},{"Name":"x"}],"Map":{"a":"b","A":"{\"a\":[1]}"},"Blob":"cA==","Number":-1}`, None, ""},
		{` { "Map" : { "a" : "b" , "c" : "\\" } , "List" : [ { } , { "Names" : [ ] } ] , "Number" : 12 } `, None, ""},
		{`{"Name":null,"Names":null,"Nested":null,"List":null,"Pointer":null,"Map":null,"Blob":null,"Present":null,"Number":null}`, None, ""},
		{`{"Present":{"a":[1,{"a":"}"}],"a":2,"b":null},"Any":[null,[],{}]}`, None, ""},
		{`{"\u004eame":"a"}`, None, ""},
		{`[]`, NotObject, ""}, {`"a"`, NotObject, ""}, {`null`, NotObject, ""}, {``, NotObject, ""}, {`{} {}`, NotObject, ""}, {`{"Name":}`, NotObject, ""},
		{`{"name":"a"}`, UnknownParameter, "name"}, {`{"nested":{}}`, UnknownParameter, "nested"}, {`{"":1}`, UnknownParameter, ""},
		{`{"Nested":{"name":"a"}}`, UnknownParameter, "name"}, {`{"List":[{},{"Other":1}]}`, UnknownParameter, "Other"}, {`{"Pointer":{"NAME":"a"}}`, UnknownParameter, "NAME"},
		{`{"Name":"a","Name":"b"}`, DoubleParameter, "Name"}, {`{"Name":"a","\u004eame":"a"}`, DoubleParameter, "Name"},
		{`{"Nested":{"Name":"a","Name":"a"}}`, DoubleParameter, "Name"}, {`{"Map":{"a":"b","a":"b"}}`, DoubleParameter, "a"}, {`{"Blob":"cA==","Blob":null}`, DoubleParameter, "Blob"},
		{`{"Map":{"a":null}}`, WrongType, ""}, {`{"Names":[null]}`, WrongType, ""}, {`{"List":[null]}`, WrongType, ""},
		{`{"Name":1}`, WrongType, ""}, {`{"Nested":[]}`, WrongType, ""}, {`{"Map":["a"]}`, WrongType, ""}, {`{"Number":1e30}`, WrongType, ""}, {`{"Number":1.5}`, WrongType, ""},
		{"{\"Name\":\"\xff\"}", NotUnicode, ""}, {`{"Name":"\ud800"}`, NotUnicode, ""}, {`{"Name":"\ude00\ud83d"}`, NotUnicode, ""}, {`{"Map":{"\ud83da":""}}`, NotUnicode, ""},
	} {
		var p decoded
		fault, name := parameters.Decode([]byte(x.body), &p)
		if fault != x.want || name != x.name {
			t.Errorf("%s: %d %q, want %d %q", x.body, fault, name, x.want, x.name)
		}
		compare(t, []byte(x.body), fault, p)
	}
	if got, fault := DecodeStrings([]byte(`{"a":"b"}`)); fault != None || len(got) != 1 || got["a"] != "b" {
		t.Errorf("%v %d", got, fault)
	}
}

// compare compares what Decode made of a body with encoding/json.
func compare(t *testing.T, body []byte, fault Fault, got decoded) {
	t.Helper()
	if object := json.Valid(body) && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")); object != (fault != NotObject) {
		t.Errorf("%q: fault %d; is a JSON object: %v", body, fault, object)
	}
	if fault != None {
		return
	}
	var want decoded
	if err := json.Unmarshal(body, &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: %+v; encoding/json has %+v, %v", body, got, want, err)
	}
}

// FuzzDecodeLikeJSON decodes what encoding/json decodes too, with the same result.
func FuzzDecodeLikeJSON(f *testing.F) {
	f.Add([]byte(` {"Map":{"a":"b"},"Any":[1,true,{"a":[-1.5e3]}],"List":[ { "Names" : ["\"]"] } ]} `))
	f.Add([]byte(`{"Name":"\u00e9\n","Names":["a",""],"Nested":{"Name":"b"},"Pointer":{},"Blob":"c2Vj\u0061w==","Present":[{}],"Number":-12}`))
	f.Add([]byte(`{"Map":{"a":"b",},"Number":01,"Present":{"a":}}`))
	parameters := NewParameters[decoded]()
	f.Fuzz(func(t *testing.T, body []byte) {
		var p decoded
		fault, _ := parameters.Decode(body, &p)
		compare(t, body, fault, p)
	})
}
