package tencentkms_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"strongroom.example/vault"
	"strongroom.example/vault/tencentkms"
	"strongroom.example/vault/vaulttest"
)

// TestQueries sends GETs, good and bad ones.
func TestQueries(t *testing.T) {
	c := newClient(t)
	key := c.create("query", "")
	for _, x := range []struct{ action, query, code string }{
		{"GenerateRandom", "NumberOfBytes=16", ""},
		{"GenerateRandom", "", "MissingParameter"},
		{"GenerateRandom", "NumberOfBytes=", "InvalidParameter"},
		{"GenerateRandom", "NumberOfBytes=16&NumberOfBytes=16", "InvalidParameter"},
		{"GenerateRandom", "NumberOfBytes=16&NumberOfBytes.0=16", "InvalidParameter"},
		{"GenerateRandom", "NumberOfBytes.0=16", "InvalidParameter"},
		{"GenerateRandom", "numberofbytes=16", "UnknownParameter"},
		{"GenerateRandom", "NumberOfBytes=16&=1", "UnknownParameter"},
		{"GenerateRandom", "NumberOfBytes=16;a=b", "InvalidParameter"},
		{"GenerateRandom", "NumberOfBytes=%3", "InvalidParameter"},
		{"GenerateRandom", "NumberOfBytes=16&0=1", "UnknownParameter"},
		{"CreateKey", "Alias=by-get&Type=1&Description=%E8%AE%A2+%E5%8D%95&Tags.0.TagKey=a&Tags.0.TagValue=b&Tags.1.TagKey=c", ""},
		{"CreateKey", "Alias=by-get-2&Tags.0.TagKey=a&Tags.2.TagKey=c", "InvalidParameter"},
		{"CreateKey", "Alias=by-get-2&Tags.0.TagKey=a&Tags.x.TagKey=c", "InvalidParameter"},
		{"CreateKey", "Alias=by-get-2&Tags.TagKey=a", "InvalidParameter"},
		{"CreateKey", "Alias=by-get-2&Description=%FF", "InvalidParameter"},
		{"DescribeKeys", "KeyIds.0=" + key, ""},
		{"DescribeKeys", "KeyIds=" + key, "InvalidParameter"},
		{"DescribeKey", "KeyId=" + key + "&MemberAccount.MemberUin=1", "UnsupportedOperation"},
		{"GenerateDataKey", "KeyId=" + key + "&KeySpec=AES_256&EncryptionContext=%7B%22a%22%3A%22b%22%7D", ""},
		{"Encrypt", "KeyId=" + key + "&Plaintext=aHVudGVyMg%3D%3D", "UnsupportedProtocol"},
		{"ImportDataKey", "KeyId=" + key + "&ImportType=2&ImportKeyMaterial=aHVudGVyMg%3D%3D&DataKeyName=a", "UnsupportedProtocol"},
		{"GenerateRandom", strings.Repeat("a.", 4000) + "a=1", "UnknownParameter"},
	} {
		if got := c.send(c.get(x.action, x.query)); got.code() != x.code {
			t.Errorf("%s?%.80s: %v, not %q", x.action, x.query, got, x.code)
		}
	}
	if got := c.must("DescribeKeys", params{"KeyIds": []string{key}}); len(got["KeyMetadatas"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
	other := func(r *http.Request) {
		c.sign(r, nil, "content-type;host")
		r.URL.RawQuery = "NumberOfBytes=17"
	}
	if got := c.send(c.get("GenerateRandom", "NumberOfBytes=16", other)).code(); got != "AuthFailure.SignatureFailure" {
		t.Errorf("a query that was changed after it was signed: %q", got)
	}
	if got := c.send(c.request("GenerateRandom", []byte(`{"NumberOfBytes":16}`), func(r *http.Request) {
		r.Method = http.MethodGet
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})).code(); got != "InvalidParameter" {
		t.Errorf("a GET with a body: %q", got)
	}
}

// TestSignatureOfJavaScript has a host without its port and the service that the SDK for
// JavaScript takes from its endpoint, in each combination with what the other SDKs sign.
func TestSignatureOfJavaScript(t *testing.T) {
	c := newClient(t)
	body := []byte(`{"NumberOfBytes":16}`)
	for _, x := range []struct{ host, service, code string }{
		{"", "kms", ""}, {"127.0.0.1", "kms", ""}, {"", "127", ""}, {"127.0.0.1", "127", ""},
		{"127.0.0.2", "kms", "AuthFailure.SignatureFailure"}, {"", "cvm", "AuthFailure.InvalidAuthorization"},
		{"127.0.0.1:1", "kms", "AuthFailure.SignatureFailure"},
	} {
		got := c.send(c.request("GenerateRandom", body, func(r *http.Request) {
			s := c.signing(r)
			s.host, s.service = cmp.Or(x.host, s.host), x.service
			c.signBy(s, r, body)
		}))
		if got.code() != x.code {
			t.Errorf("host %q, service %q: %v, not %q", x.host, x.service, got, x.code)
		}
	}
}

// FuzzQuery sends GETs with any query. Each has a response that is JSON and no internal error.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "Limit=1", "TagFilters.0.TagKey=a&TagFilters.0.TagValue.0=b", "Limit=%zz", "Limit=1&Limit=2", "a.b.c=1&a.b=2", ".=1", "0=1", "Limit.0=1"} {
		f.Add(seed)
	}
	h, err := tencentkms.New(vaulttest.New(f).Vault, tencentkms.Config{
		Principal: func(*http.Request) (vault.Principal, bool) { return vault.DefaultOwner, true },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { h.Close() })
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, Host: "kms.local", URL: &url.URL{Scheme: "http", Host: "kms.local", Path: "/", RawQuery: query}, Header: http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "X-Tc-Action": {"ListKeyDetail"}, "X-Tc-Version": {tencentkms.Version},
		}}
		res, err := h.RoundTripper().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var got map[string]answer
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got["Response"]["RequestId"] == nil || got["Response"].code() == "InternalError" {
			t.Errorf("%v %v", got, err)
		}
	})
}
