package tencentkms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom.example/vault/internal/webapi"
)

// TestParametersAreWiped keeps the memory of a parameter beyond its operation.
func TestParametersAreWiped(t *testing.T) {
	var kept []byte
	serve := served(func(_ call, p *encryptParams) (reply, error) {
		kept = p.Plaintext.Bytes
		if string(kept) != "secret" {
			t.Errorf("the parameter is %q", kept)
		}
		return reply{}, nil
	})
	body := []byte(`{"KeyId":"22d79428-61d9-41ea-a3c8-525400000000","Plaintext":"c2VjcmV0"}`)
	if _, err := serve(call{}, body); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, make([]byte, 6)) {
		t.Errorf("after the operation the parameter is %q", kept)
	}
}

// TestEncode checks the body of responses against encoding/json.
func TestEncode(t *testing.T) {
	for _, r := range []reply{
		{}, {plaintext: []byte{}}, {plaintext: []byte("p\x00\xff")},
		{fields: struct{ A string }{"<\"\n"}, plaintext: []byte("p")}, {fields: struct{}{}},
	} {
		var got struct {
			Response struct {
				A, RequestId string
				Plaintext    []byte
			}
		}
		body := r.encode("id")
		if err := json.Unmarshal(body, &got); err != nil || got.Response.RequestId != "id" || !bytes.Equal(got.Response.Plaintext, r.plaintext) {
			t.Errorf("%s: %v", body, err)
		}
		if (r.plaintext != nil) != bytes.Contains(body, []byte("Plaintext")) {
			t.Errorf("%s", body)
		}
	}
}

// FuzzParameters decodes bodies. Whatever they are, decode returns a failure with a documented
// form or parameters that passed its checks.
func FuzzParameters(f *testing.F) {
	f.Add([]byte(`{"KeyId":"22d79428-61d9-41ea-a3c8-525400000000","Plaintext":"c2VjcmV0"}`))
	f.Add([]byte(`{"MemberAccount":null,"KeyIds":[""]}`))
	f.Add([]byte(`{"Plaintext":"\u0061===","Plaintext":1}`))
	one, several := webapi.NewParameters[encryptParams](), webapi.NewParameters[keysParam]()
	f.Fuzz(func(t *testing.T, body []byte) {
		var p encryptParams
		err := decode(one, body, &p)
		var failed failure
		if err != nil && !errors.As(err, &failed) {
			t.Errorf("%T", err)
		}
		if err == nil && (p.Plaintext.Bytes == nil || checkKeyIDs(p.KeyId) != nil) {
			t.Errorf("decode accepts %s", body)
		}
		if err := decode(several, body, new(keysParam)); err != nil && !errors.As(err, &failed) {
			t.Errorf("%T", err)
		}
	})
}

// FuzzAuthorization parses headers, and formats again what is accepted.
func FuzzAuthorization(f *testing.F) {
	hash := strings.Repeat("0a", 32)
	f.Add("TC3-HMAC-SHA256 Credential=a/2026-01-01/kms/tc3_request, SignedHeaders=content-type;host, Signature=" + hash)
	f.Add("TC3-HMAC-SHA256 Credential=a/2026-01-01/127/tc3_request, SignedHeaders=content-type;host, Signature=" + hash)
	f.Add("TC3-HMAC-SHA256 Credential=a/b/kms/tc3_request,Credential=,Signature=")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header, "127.0.0.1:8080")
		if err != nil {
			return
		}
		again, err := parseAuthorization(fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s/%s/tc3_request, SignedHeaders=%s, Signature=%x", a.id, a.date, a.service, a.headers, a.signature), "127.0.0.1:8080")
		if err != nil || again.id != a.id || again.date != a.date || again.service != a.service || again.headers != a.headers || !bytes.Equal(again.signature, a.signature) {
			t.Errorf("%q: %+v, then %+v %v", header, a, again, err)
		}
	})
}
