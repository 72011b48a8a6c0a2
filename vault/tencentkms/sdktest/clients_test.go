package sdktest

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"strongroom.example/internal/testing/clients"
	"strongroom.example/vault/tencentkms"
)

// environment is that of a client in another process, without the settings of the cloud that this
// process has.
func (s *server) environment(t *testing.T, more ...string) []string {
	t.Helper()
	refusals := make(map[string]string)
	for _, op := range tencentkms.Operations() {
		if !op.Served() {
			refusals[op.Action] = op.Refusal
		}
	}
	list, err := json.Marshal(refusals)
	if err != nil {
		t.Fatal(err)
	}
	inherited := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "TENCENTCLOUD_") || strings.HasPrefix(strings.ToLower(v), "http_proxy=") || strings.HasPrefix(strings.ToLower(v), "https_proxy=")
	})
	return slices.Concat(inherited, []string{"TENCENTCLOUD_SECRET_ID=" + secretID, "TENCENTCLOUD_SECRET_KEY=" + secretKey, "KMS_REFUSED=" + string(list)}, more)
}

// TestJavaScript runs the SDK for JavaScript.
func TestJavaScript(t *testing.T) {
	clients.Others(t)
	s := newServer(t)
	clients.Run(t, clients.Node(t), s.environment(t, "KMS_ENDPOINT="+s.listen(t)), "node", "client.mjs")
	s.compare(t, columnJS)
}

// TestPython runs the SDK for Python, if the interpreter python3 has it. Its column in the table
// keeps what the last run with it found.
func TestPython(t *testing.T) {
	clients.Others(t)
	if err := exec.CommandContext(t.Context(), "python3", "-c", "import tencentcloud.kms.v20190118").Run(); err != nil {
		clients.Missing(t, "python3 lacks the SDK: pip install tencentcloud-sdk-python")
	}
	s := newServer(t)
	clients.Run(t, ".", s.environment(t, "KMS_ENDPOINT="+s.listen(t), "PYTHONDONTWRITEBYTECODE=1"), "python3", "python/client.py")
	s.compare(t, columnPython)
}
