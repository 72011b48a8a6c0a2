package tencentkms_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// fixtures makes what the values in braces stand for.
type fixtures struct {
	*client
	n               int
	last            string // the id that was made last
	token, material string // for the import into it
}

var braces = regexp.MustCompile(`\{([a-z][a-z0-9 ]*)\}`)

// request returns a request in which the values in braces are replaced.
func (f *fixtures) request(p printed) *http.Request {
	replace := func(text string, escape func(string) string) string {
		return braces.ReplaceAllStringFunc(text, func(name string) string { return escape(f.make(strings.Trim(name, "{}"))) })
	}
	if p.method == "POST" {
		return f.client.request(p.action, []byte(replace(p.parameters, func(s string) string {
			quoted, _ := json.Marshal(s)
			return strings.Trim(string(quoted), `"`)
		})))
	}
	return f.get(p.action, replace(p.parameters, url.QueryEscape))
}

// key makes a CMK, and does something with it.
func (f *fixtures) key(usage string, then ...string) string {
	f.n++
	f.last = f.create(fmt.Sprintf("printed-%d", f.n), usage)
	for _, action := range then {
		p := params{"KeyId": f.last}
		switch action {
		case "ScheduleKeyDeletion":
			p["PendingWindowInDays"] = 7
		case "BindCloudResource":
			p["ProductId"], p["ResourceId"] = "ssm", "resource"
		}
		f.must(action, p)
	}
	return f.last
}

// dataKey makes a data key that the vault keeps, and does something with it.
func (f *fixtures) dataKey(then ...string) string {
	key := f.key("")
	f.last = f.must("GenerateDataKey", params{"KeyId": key, "KeySpec": "AES_256", "IsHostedByKms": 1, "DataKeyName": fmt.Sprintf("printed-%d", f.n)})["DataKeyId"].(string)
	for _, action := range then {
		p := params{"DataKeyId": f.last}
		if action == "ScheduleDataKeyDeletion" {
			p["PendingWindowInDays"] = 7
		}
		f.must(action, p)
	}
	return f.last
}

// public returns the public key of the CMK that was made last.
func (f *fixtures) public() any {
	key, err := smx509.ParsePKIXPublicKey(f.must("GetPublicKey", params{"KeyId": f.last}).bytes("PublicKey"))
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

// base64 returns the result of a function of a library in base64.
func (f *fixtures) base64(b []byte, err error) string {
	if err != nil {
		f.t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// external makes a CMK whose material is imported, with a token and material for its import.
func (f *fixtures) external() {
	f.n++
	f.last = f.must("CreateKey", params{"Alias": fmt.Sprintf("printed-%d", f.n), "Type": 2})["KeyId"].(string)
	got := f.must("GetParametersForImport", params{"KeyId": f.last, "WrappingAlgorithm": "RSAES_OAEP_SHA_1", "WrappingKeySpec": "RSA_2048"})
	public, err := x509.ParsePKIXPublicKey(got.bytes("PublicKey"))
	if err != nil {
		f.t.Fatal(err)
	}
	material := make([]byte, 32)
	rand.Read(material)
	f.token = got["ImportToken"].(string)
	f.material = f.base64(rsa.EncryptOAEP(sha1.New(), rand.Reader, public.(*rsa.PublicKey), material, nil))
}

// make returns the value for a name in braces.
func (f *fixtures) make(name string) string {
	f.t.Helper()
	plain := []byte("test\n")
	switch name {
	case "key":
		return f.key("")
	case "disabled":
		return f.key("", "DisableKey")
	case "archived":
		return f.key("", "ArchiveKey")
	case "key to delete":
		return f.key("", "DisableKey", "ScheduleKeyDeletion")
	case "bound":
		return f.key("", "BindCloudResource")
	case "rsa":
		return f.key("ASYMMETRIC_DECRYPT_RSA_2048")
	case "sm2":
		return f.key("ASYMMETRIC_DECRYPT_SM2")
	case "sm2 signing":
		return f.key("ASYMMETRIC_SIGN_VERIFY_SM2")
	case "rsa signing":
		return f.key("ASYMMETRIC_SIGN_VERIFY_RSA_2048")
	case "rsa ciphertext":
		return f.base64(rsa.EncryptOAEP(sha256.New(), rand.Reader, f.public().(*rsa.PublicKey), plain, nil))
	case "pkcs1 ciphertext":
		//lint:ignore SA1019 what the vault decrypts has to be made
		return f.base64(rsa.EncryptPKCS1v15(rand.Reader, f.public().(*rsa.PublicKey), plain))
	case "sm2 ciphertext":
		return f.base64(sm2.EncryptASN1(rand.Reader, f.public().(*ecdsa.PublicKey), plain))
	case "signature":
		return f.must("SignByAsymmetricKey", params{"KeyId": f.last, "Algorithm": "SM2DSA", "Message": plain})["Signature"].(string)
	case "ciphertext":
		return f.must("Encrypt", params{"KeyId": f.key(""), "Plaintext": plain, "EncryptionContext": `{"key1":"value1"}`})["CiphertextBlob"].(string)
	case "ciphertext without context":
		return f.must("Encrypt", params{"KeyId": f.key(""), "Plaintext": plain})["CiphertextBlob"].(string)
	case "data key":
		return f.dataKey()
	case "disabled data key":
		return f.dataKey("DisableDataKey")
	case "data key to delete":
		return f.dataKey("DisableDataKey", "ScheduleDataKeyDeletion")
	case "sm2 public key":
		f.key("ASYMMETRIC_DECRYPT_SM2")
		der := f.must("GetPublicKey", params{"KeyId": f.last}).bytes("PublicKey")
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	case "cluster":
		f.n++
		f.must("CreateKey", params{"Alias": fmt.Sprintf("printed-%d", f.n), "HsmClusterId": "cluster", "Tags": []params{{"TagKey": "env", "TagValue": "dev"}}})
		return "cluster"
	}
	return f.makeImport(name)
}

// makeImport returns the value for a name in braces that belongs to an import.
func (f *fixtures) makeImport(name string) string {
	f.t.Helper()
	switch name {
	case "external":
		f.external()
	case "imported":
		f.external()
		f.must("ImportKeyMaterial", params{"KeyId": f.last, "ImportToken": f.token, "EncryptedKeyMaterial": f.material})
	case "token":
		return f.token
	case "material":
		return f.material
	default:
		f.t.Fatalf("nothing is called {%s}", name)
	}
	return f.last
}
