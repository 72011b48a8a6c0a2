package deviceuri

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/pkcs11uri"
	"strongroom.example/internal/testing/testtoken"
)

func TestMain(m *testing.M) { os.Exit(testtoken.Main(m)) }

// closeAfter closes a driver when the test ends, and returns its name.
func closeAfter(t *testing.T, d driver.Driver, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d.Info().Name
}

func TestOpenSoft(t *testing.T) {
	d, err := Open(t.Context(), "soft:", Options{})
	if name := closeAfter(t, d, err); name != "soft" {
		t.Error(name)
	}
}

func TestOpenTPM(t *testing.T) {
	chip := testtoken.NewSWTPM(t)
	d, err := Open(t.Context(), pkcs11uri.URI{Scheme: "tpm", Query: map[string]string{"device": "unix:" + chip.Socket()}}.String(), Options{})
	if name := closeAfter(t, d, err); name != "tpm" {
		t.Error(name)
	}
}

func TestTPMConfig(t *testing.T) {
	for uri, want := range map[string]tpm.Config{
		"tpm:":         {},
		"tpm:srk=000b": {SRK: "000b"},
		"tpm:?device=unix:/run/swtpm.sock&counter=0x01500001": {Device: "unix:/run/swtpm.sock", Counter: 0x01500001},
		"tpm:?device=/dev/tpm0&queue=3&patience=2s":           {Device: "/dev/tpm0", Queue: 3, Patience: 2 * time.Second},
		"tpm:?device=tcp:127.0.0.1:2321&trust-software=true":  {Device: "tcp:127.0.0.1:2321", TrustSoftware: true},
		"tpm:?device=unix:/run/a%20b&trust-software=false":    {Device: "unix:/run/a b"},
	} {
		u, err := pkcs11uri.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpmConfig(u)
		if err != nil || got.SRK != want.SRK || got.Device != want.Device || got.Counter != want.Counter ||
			got.Queue != want.Queue || got.Patience != want.Patience || got.TrustSoftware != want.TrustSoftware {
			t.Errorf("%s: another configuration, %v", uri, err)
		}
	}
}

// TestOpenRefuses checks that a bad URI opens nothing, and that no error quotes a value.
func TestOpenRefuses(t *testing.T) {
	for uri, says := range map[string]string{
		"":                  "no scheme",
		"hsm:token=a":       "soft, pkcs11 and tpm",
		"soft:key=hunter2":  "no attributes",
		"soft:?key=hunter2": "no attributes",
		"pkcs11:token=a?pin-value=hunter2&module-path=/m.so": "pin-source",
		"pkcs11:token=hunter2":                               "absolute path",
		"tpm:handle=hunter2":                                 "handle",
		"tpm:?owner-auth=hunter2":                            "environment or file",
		"tpm:?counter=hunter2":                               "counter",
		"tpm:?counter=0x1ffffffff":                           "counter",
		"tpm:?queue=-1":                                      "queue",
		"tpm:?patience=hunter2":                              "patience",
		"tpm:?patience=-1s":                                  "patience",
		"tpm:?trust-software=hunter2":                        "trust-software",
		"tpm:?x-hunter=hunter2":                              "not supported",
	} {
		d, err := Open(t.Context(), uri, Options{})
		if err == nil || d != nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), says) {
			t.Errorf("Open(%q) = %v, %v; want an error about %q", uri, d, err, says)
		}
	}
	if _, err := Open(t.Context(), "hsm:", Options{}); !errors.Is(err, ErrScheme) {
		t.Error(err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, uri := range []string{"soft:", "tpm:"} {
		if d, err := Open(done, uri, Options{}); d != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("Open(%q) with a cancelled context = %v, %v", uri, d, err)
		}
	}
}
