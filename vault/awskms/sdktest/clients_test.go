package sdktest

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	awsv1 "github.com/aws/aws-sdk-go/aws"
	credentialsv1 "github.com/aws/aws-sdk-go/aws/credentials"
	sessionv1 "github.com/aws/aws-sdk-go/aws/session"
	kmsv1 "github.com/aws/aws-sdk-go/service/kms"
	"github.com/tink-crypto/tink-go-awskms/v2/integration/awskms"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"strongroom.example/internal/testing/clients"
)

// environment is that of a client in another process, without the settings of AWS that this
// process has.
func (s *server) environment() []string {
	inherited := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(inherited, "AWS_ENDPOINT_URL_KMS="+s.url, "AWS_REGION="+region, "AWS_DEFAULT_REGION="+region, "AWS_ACCESS_KEY_ID="+accessKeyID,
		"AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true")
}

// A cli is the command aws.
type cli struct {
	*server
	t    *testing.T
	args []string
}

// newCLI returns the command. Releases before 1.29 and 2.13 do not read AWS_ENDPOINT_URL_KMS.
func newCLI(t *testing.T) *cli {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "aws", "--version").CombinedOutput()
	m := regexp.MustCompile(`aws-cli/(\d+)\.(\d+)`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("the command aws is needed (Debian: awscli): %s %v", out, err)
	}
	c := &cli{newServer(t), t, []string{"--output", "json"}}
	minor, _ := strconv.Atoi(string(m[2]))
	if string(m[1]) == "1" && minor < 29 || string(m[1]) == "2" && minor < 13 {
		c.args = append(c.args, "--endpoint-url", c.url)
	}
	c.args = append(c.args, "kms")
	t.Logf("%s", out)
	return c
}

// run runs a command, and returns its output.
func (c *cli) run(args ...string) (map[string]any, string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "aws", slices.Concat(c.args, args)...)
	cmd.Env = c.environment()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, stderr.String()
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil && len(out) > 0 {
		c.t.Fatalf("%v: %s", args, out)
	}
	return got, ""
}

// must runs a command that succeeds.
func (c *cli) must(args ...string) map[string]any {
	c.t.Helper()
	got, failed := c.run(args...)
	if failed != "" {
		c.t.Fatalf("aws kms %v: %s", args, failed)
	}
	return got
}

// refused runs a command that fails.
func (c *cli) refused(code string, args ...string) {
	c.t.Helper()
	if _, failed := c.run(args...); !strings.Contains(failed, "("+code+")") {
		c.t.Errorf("aws kms %v: %q, not %s", args, failed, code)
	}
}

// create makes a CMK, and returns its id.
func (c *cli) create(args ...string) string {
	c.t.Helper()
	return c.must(append([]string{"create-key"}, args...)...)["KeyMetadata"].(map[string]any)["KeyId"].(string)
}

// TestCLI runs the command aws.
func TestCLI(t *testing.T) {
	clients.Others(t)
	c := newCLI(t)
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "fileb://" + path
	}
	decoded := func(text any) string {
		b, err := base64.StdEncoding.DecodeString(text.(string))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	id := c.create("--description", "all", "--tags", "TagKey=team,TagValue=shop")
	if got := c.must("describe-key", "--key-id", id)["KeyMetadata"].(map[string]any); got["KeyState"] != "Enabled" || got["Description"] != "all" {
		t.Errorf("describe-key: %v", got)
	}
	c.must("create-alias", "--alias-name", "alias/cli", "--target-key-id", id)
	if got := c.must("list-aliases")["Aliases"].([]any); len(got) != 1 || got[0].(map[string]any)["TargetKeyId"] != id {
		t.Errorf("list-aliases: %v", got)
	}
	plain := file("plain", "test\n")
	sealed := c.must("encrypt", "--key-id", "alias/cli", "--plaintext", plain, "--encryption-context", "tenant=7")
	blob := file("blob", decoded(sealed["CiphertextBlob"]))
	if got := c.must("decrypt", "--ciphertext-blob", blob, "--encryption-context", "tenant=7"); decoded(got["Plaintext"]) != "test\n" {
		t.Errorf("decrypt: %v", got)
	}
	c.refused("InvalidCiphertextException", "decrypt", "--ciphertext-blob", blob)
	other := c.create()
	c.must("re-encrypt", "--ciphertext-blob", blob, "--source-encryption-context", "tenant=7", "--destination-key-id", other)
	if got := c.must("generate-data-key", "--key-id", id, "--key-spec", "AES_256"); len(decoded(got["Plaintext"])) != 32 {
		t.Errorf("generate-data-key: %v", got)
	}
	c.must("generate-data-key-without-plaintext", "--key-id", id, "--number-of-bytes", "16")
	if got := c.must("generate-random", "--number-of-bytes", "64"); len(decoded(got["Plaintext"])) != 64 {
		t.Errorf("generate-random: %v", got)
	}
	c.must("tag-resource", "--key-id", id, "--tags", "TagKey=a,TagValue=b")
	c.must("untag-resource", "--key-id", id, "--tag-keys", "team")
	if got := c.must("list-resource-tags", "--key-id", id)["Tags"].([]any); len(got) != 1 {
		t.Errorf("list-resource-tags: %v", got)
	}
	if got := c.must("list-keys", "--page-size", "1")["Keys"].([]any); len(got) != 2 {
		t.Errorf("list-keys: %v", got)
	}
	c.must("update-alias", "--alias-name", "alias/cli", "--target-key-id", other)
	c.must("delete-alias", "--alias-name", "alias/cli")
	c.must("update-key-description", "--key-id", id, "--description", "new")
	c.asymmetric(plain, file, decoded)
	c.must("enable-key-rotation", "--key-id", id)
	if got := c.must("get-key-rotation-status", "--key-id", id); got["KeyRotationEnabled"] != true {
		t.Errorf("get-key-rotation-status: %v", got)
	}
	c.must("disable-key-rotation", "--key-id", id)
	c.must("disable-key", "--key-id", id)
	c.refused("DisabledException", "encrypt", "--key-id", id, "--plaintext", plain)
	c.must("enable-key", "--key-id", id)
	c.must("schedule-key-deletion", "--key-id", id, "--pending-window-in-days", "7")
	c.must("cancel-key-deletion", "--key-id", id)
	c.must("list-key-policies", "--key-id", id)
	c.refused("NotFoundException", "get-key-policy", "--key-id", id, "--policy-name", "default")
	c.refused("UnsupportedOperationException", "list-grants", "--key-id", id)
	compare(t, columnCLI, c.book.Cell)
}

// asymmetric runs the commands on asymmetric keys and MACs.
func (c *cli) asymmetric(message string, file func(name, text string) string, decoded func(any) string) {
	c.t.Helper()
	ec := c.create("--key-spec", "ECC_NIST_P256", "--key-usage", "SIGN_VERIFY")
	sig := c.must("sign", "--key-id", ec, "--message", message, "--signing-algorithm", "ECDSA_SHA_256")
	if got := c.must("verify", "--key-id", ec, "--message", message, "--signature", file("sig", decoded(sig["Signature"])), "--signing-algorithm", "ECDSA_SHA_256"); got["SignatureValid"] != true {
		c.t.Errorf("verify: %v", got)
	}
	c.must("get-public-key", "--key-id", ec)
	mac := c.create("--key-spec", "HMAC_256", "--key-usage", "GENERATE_VERIFY_MAC")
	made := c.must("generate-mac", "--key-id", mac, "--message", message, "--mac-algorithm", "HMAC_SHA_256")
	if got := c.must("verify-mac", "--key-id", mac, "--message", message, "--mac", file("mac", decoded(made["Mac"])), "--mac-algorithm", "HMAC_SHA_256"); got["MacValid"] != true {
		c.t.Errorf("verify-mac: %v", got)
	}
}

// TestJavaScript runs the SDK for JavaScript.
func TestJavaScript(t *testing.T) {
	clients.Others(t)
	s := newServer(t)
	clients.Run(t, clients.Node(t), s.environment(), "node", "client.mjs")
	compare(t, columnJS, s.book.Cell)
}

// TestOtherClients runs programs and libraries that use a few operations.
func TestOtherClients(t *testing.T) {
	all := map[string][]string{}
	use := func(name string, run func(*testing.T, *session)) {
		t.Run(name, func(t *testing.T) {
			s := newSession(t, true)
			s.t = t
			run(t, s)
			for _, op := range s.book.Succeeded() {
				if op != "CreateKey" { // by which the test made the key
					all[op] = append(all[op], name)
				}
			}
		})
	}
	use("Tink", tink)
	if os.Getenv("STRONGROOM_CLIENTS") != "all" {
		t.Skip("runs sops and the Encryption SDK too with STRONGROOM_CLIENTS=all")
	}
	use("Encryption SDK", func(t *testing.T, s *session) {
		clients.Run(t, clients.Node(t), s.environment(), "node", "encryption-sdk.mjs", s.arn())
	})
	use("sops", sops)
	if t.Failed() {
		return
	}
	compare(t, columnOthers, func(op string) string {
		if all[op] == nil {
			return clients.None
		}
		return strings.Join(all[op], ", ")
	})
}

// arn makes a CMK, and returns its ARN.
func (s *session) arn() string {
	s.t.Helper()
	return *must(s, s.CreateKey, &kms.CreateKeyInput{}).KeyMetadata.Arn
}

// tink encrypts by the library Tink, which uses the SDK for Go v1.
func tink(t *testing.T, s *session) {
	made, err := sessionv1.NewSession(awsv1.NewConfig().WithRegion(region).WithEndpoint(s.url).WithCredentials(credentialsv1.NewStaticCredentials(accessKeyID, secretKey, "")))
	if err != nil {
		t.Fatal(err)
	}
	client, err := awskms.NewClientWithOptions("aws-kms://", awskms.WithKMS(kmsv1.New(made)))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := client.GetAEAD("aws-kms://" + s.arn())
	if err != nil {
		t.Fatal(err)
	}
	ct, err := aead.Encrypt([]byte("test\n"), []byte("associated"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := aead.Decrypt(ct, []byte("associated")); err != nil || string(got) != "test\n" {
		t.Errorf("%q %v", got, err)
	}
	if got, err := aead.Decrypt(ct, []byte("other")); err == nil {
		t.Errorf("with other associated data: %q", got)
	}
}

// sops encrypts a file, edits it, rotates its data key and decrypts it.
func sops(t *testing.T, s *session) {
	dir := t.TempDir()
	run := func(env []string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sops", args...)
		cmd.Dir, cmd.Env = dir, append(s.environment(), env...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("sops %v: %s %v", args, &stderr, err)
		}
		return string(out)
	}
	if err := os.WriteFile(filepath.Join(dir, "s.yaml"), []byte("password: hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(nil, "encrypt", "--in-place", "--kms", s.arn(), "--encryption-context", "stage:test", "s.yaml")
	stored := func() string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, "s.yaml"))
		if err != nil || strings.Contains(string(text), "hunter") {
			t.Fatalf("the file is not encrypted: %s %v", text, err)
		}
		return string(text)
	}
	before := stored()
	run([]string{`EDITOR=sed -i s/hunter2/hunter3/`}, "edit", "s.yaml")
	run(nil, "rotate", "--in-place", "s.yaml")
	if stored() == before {
		t.Error("the file did not change")
	}
	if got := run(nil, "decrypt", "s.yaml"); got != "password: hunter3\n" {
		t.Errorf("decrypted: %q", got)
	}
}
