package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"strongroom.example/driver/pkcs11"
)

// HSMVariable names a PKCS #11 token for the examples, by a URI as pkcs11.ParseURI reads it.
// Without it they make a token of SoftHSM.
const HSMVariable = "STRONGROOM_EXAMPLE_HSM"

// HSM opens the token that HSMVariable names, or makes one of SoftHSM, and prints which. The
// caller closes the driver, and calls stop after that; a token of SoftHSM is lost then.
func HSM(ctx context.Context, w io.Writer) (d *pkcs11.Driver, stop func(), err error) {
	if uri := os.Getenv(HSMVariable); uri != "" && uri != emulator {
		if d, err = openToken(ctx, uri); err != nil {
			return nil, nil, err
		}
		info := d.Info()
		fmt.Fprintf(w, "device: %s %s, level %s\n", info.Device.Manufacturer, info.Device.Model, info.Level)
		return d, func() {}, nil
	}
	dir, err := os.MkdirTemp(memoryDir(), "softhsm")
	if err != nil {
		return nil, nil, err
	}
	stop = func() { os.RemoveAll(dir) }
	uri, err := newSoftHSM(ctx, dir)
	if err == nil {
		d, err = openToken(ctx, uri)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	fmt.Fprintln(w, "device: a throw-away token of SoftHSM, an emulator; set", HSMVariable, "to the URI of a token for another")
	return d, stop, nil
}

func openToken(ctx context.Context, uri string) (*pkcs11.Driver, error) {
	cfg, err := pkcs11.ParseURI(uri)
	if err != nil {
		return nil, err
	}
	return pkcs11.Open(ctx, cfg)
}

// memoryDir returns a directory in memory, because SoftHSM syncs its files often, or the
// empty string for the default directory.
func memoryDir() string {
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err == nil && info.IsDir() {
		return shared
	}
	return ""
}

// newSoftHSM makes a token, and returns its URI. Its PIN is no secret, because the token is
// removed with dir.
func newSoftHSM(ctx context.Context, dir string) (uri string, err error) {
	const pin = "not-a-secret"
	module := findModule("libsofthsm2.so")
	if _, err := exec.LookPath("softhsm2-util"); err != nil || module == "" {
		return "", fmt.Errorf("the emulator SoftHSM is %w: install the package softhsm2", ErrMissing)
	}
	conf, pinFile, tokens := filepath.Join(dir, "conf"), filepath.Join(dir, "pin"), filepath.Join(dir, "tokens")
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return "", err
	}
	text := "directories.tokendir = " + tokens + "\nobjectstore.backend = file\nlog.level = ERROR\n"
	for name, content := range map[string]string{conf: text, pinFile: pin} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	os.Setenv("SOFTHSM2_CONF", conf) // the module reads it when it is loaded
	out, err := exec.CommandContext(ctx, "softhsm2-util", "--init-token", "--free", "--label", "example", "--so-pin", pin, "--pin", pin).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("softhsm2-util: %w: %s", err, out)
	}
	return "pkcs11:token=example?module-path=" + module + "&pin-source=file:" + pinFile, nil
}

// findModule returns the path of a module below the usual directories, or the empty string.
func findModule(file string) string {
	for _, dir := range []string{"/usr/lib/*-linux-gnu*", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/opt/homebrew/lib"} {
		for _, below := range []string{"softhsm", ""} {
			// Glob fails only for a malformed pattern.
			if found, _ := filepath.Glob(filepath.Join(dir, below, file)); len(found) > 0 {
				return found[0]
			}
		}
	}
	return ""
}
