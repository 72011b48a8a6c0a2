package docs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom.example/internal/pkcs11uri"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/testtoken"
)

// notRun are the marks of fences that TestCommands does not run.
var notRun = []string{"hardware", "elsewhere", "long", "drill"}

// runs reports whether TestCommands runs a fence.
func (f Fence) runs() bool {
	for _, mark := range notRun {
		if f.Marked(mark) {
			return false
		}
	}
	return f.Language == "sh" && (f.client() == "" || os.Getenv("STRONGROOM_CLIENTS") == "all" && installed(f.client()))
}

func installed(command string) bool {
	_, err := exec.LookPath(command)
	return err == nil
}

// missing logs which fences are not run because the machine lacks their client. With CI=true it
// fails the test instead.
func missing(t *testing.T, d Document) {
	for _, f := range d.Fences {
		if f.client() == "" || !heavy.All(t, "STRONGROOM_CLIENTS") || installed(f.client()) {
			continue
		}
		report := t.Logf
		if os.Getenv("CI") == "true" {
			report = t.Errorf
		}
		report("%s:%d: not run, because %s is not in the path", f.File, f.Line, f.client())
	}
}

// TestCommands runs the commands of each document in a directory of its own, one after the
// other, as its reader would. The first one that fails fails the test.
//
// Before the commands it runs the document's setup.sh, and before the first command of a
// section the function "section" of setup.sh with the section's name. After the last one it
// runs the function "finish". The function "served" runs a server until it listens. In the
// environment are $REPOSITORY, $FENCES with the fences of other languages as LANGUAGE-NUMBER,
// and, where the document needs them, the URIs of an emulated TPM in $TPM and of a token of
// SoftHSM in $TOKEN. Each port of 127.0.0.1 is replaced by a free one.
func TestCommands(t *testing.T) {
	for _, d := range documents(t) {
		if !slices.ContainsFunc(d.Fences, Fence.runs) {
			continue
		}
		t.Run(strings.ReplaceAll(d.File, "/", "-"), func(t *testing.T) {
			t.Parallel()
			missing(t, d)
			dir := t.TempDir()
			script := scriptOf(d, dir)
			files := setup(t, d)
			write(t, dir, files)
			write(t, filepath.Join(dir, ".fences"), others(d))
			env := append(environment(t, dir), devices(t, script+string(files["setup.sh"]))...)
			all := withFreePorts(t, prelude+string(files["setup.sh"])+"\n"+script+"finish\n")
			shell(t, dir, env, all, files["tty"])
		})
	}
}

// prelude begins each script. A server listens for the status page last, so that its socket is there
// when the server serves. Another document may use the port at the same time.
const prelude = `set -euo pipefail
section() { :; }
finish() { :; }
served() {
	rm -f ready
	exec strongroom "${@/0.0.0.0:8443/0.0.0.0:0}" --status unix:ready &
	local server=$!
	while [ ! -S ready ] && kill -0 $server 2> /dev/null; do sleep 0.1; done
	kill $server || true
	wait $server
}
`

// scriptOf returns the commands of a document that are run.
func scriptOf(d Document, home string) string {
	var b strings.Builder
	section := ""
	for _, f := range d.Fences {
		if !f.runs() {
			continue
		}
		if f.Section != section {
			section = f.Section
			fmt.Fprintf(&b, "section '%s'\n", strings.ReplaceAll(section, "'", ""))
		}
		fmt.Fprintf(&b, "echo '== %s:%d' >&2\n%s\n", f.File, f.Line, emulated(f.Text, home))
	}
	return b.String()
}

var (
	// systemPath matches the beginning of a path outside of the reader's own directory.
	systemPath = regexp.MustCompile(`(^|[\s:='"])/(media|mnt|root|run|srv|tmp|etc|var/lib|var/backups|usr/local)\b`)
	machineTPM = regexp.MustCompile(`=tpm:([\s"'])`)
)

// emulated returns commands with an emulated TPM in the place of this machine's, and the
// home directory in the place of the root directory.
func emulated(text, home string) string {
	text = systemPath.ReplaceAllString(text, "${1}"+home+"/$2")
	return machineTPM.ReplaceAllString(text, "=$$TPM$1")
}

var localAddress = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// withFreePorts returns a script with a free port in the place of each that it names, because
// documents are tested at the same time.
func withFreePorts(t *testing.T, script string) string {
	free := make(map[string]string)
	return localAddress.ReplaceAllStringFunc(script, func(address string) string {
		if free[address] == "" {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			free[address] = l.Addr().String()
		}
		return free[address]
	})
}

// others returns the fences of other languages than sh as files.
func others(d Document) map[string][]byte {
	files, number := make(map[string][]byte), make(map[string]int)
	for _, f := range d.Fences {
		if f.Language != "sh" {
			number[f.Language]++
			files[fmt.Sprintf("%s-%d", f.Language, number[f.Language])] = []byte(f.Text)
		}
	}
	return files
}

// environment returns the environment of a reader who has the command strongroom in the
// path, and no configuration file.
func environment(t *testing.T, dir string) []string {
	t.Helper()
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "HOME="+dir, "REPOSITORY="+repository, "FENCES="+filepath.Join(dir, ".fences"))
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOFLAGS"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	for _, name := range []string{"STRONGROOM_CONFIG", "XDG_CONFIG_HOME"} {
		env = append(env, name+"=")
	}
	return env
}

// devices returns variables with the URIs of the devices that a script uses.
func devices(t *testing.T, script string) (env []string) {
	t.Helper()
	for _, name := range []string{"TPM", "NEW_TPM"} {
		if strings.Contains(script, "$"+name) {
			env = append(env, name+"=tpm:?device=unix:"+testtoken.NewSWTPM(t).Socket())
		}
	}
	if strings.Contains(script, "$TOKEN") {
		token := testtoken.NewSoftHSM(t)
		u := pkcs11uri.URI{Scheme: "pkcs11", Path: map[string]string{"token": token.Label}, Query: map[string]string{
			"module-path": token.Module, "pin-source": "file:" + token.PINFile, "x-without": "RSA_2048",
		}}
		env = append(env, "TOKEN="+u.String(), "TOKEN_MODULE="+token.Module, "SOFTHSM2_CONF="+os.Getenv("SOFTHSM2_CONF"))
	}
	return env
}

// shell runs a script of bash with a terminal of its own, on which somebody types.
func shell(t *testing.T, dir string, env []string, script string, typed []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	mine, theirs := terminal(t)
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	// A server that the script started has the output too, and Wait would wait for it.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	cmd.ExtraFiles = []*os.File{theirs}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if _, err := mine.Write(typed); err != nil {
		t.Fatal(err)
	}
	shown := make(chan []byte)
	go func() { text, _ := io.ReadAll(mine); shown <- text }()
	err := cmd.Wait()
	text := <-shown
	if err != nil {
		t.Fatalf("%v\n%s\non the terminal:\n%s", err, out.Bytes(), text)
	}
	t.Logf("%s", out.Bytes())
}
