// The race detector keeps copies of its own and makes the search take minutes.
//go:build !race

package vault

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/ciphertext"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/vaultsecrets"
)

// memoryDir is set in the child of TestMemory: the vault's directory.
const memoryDir = "STRONGROOM_MEMORY_DIR"

// memoryPassphrase is the length of the random passphrase of TestMemory. The passphrase is
// not a constant, because the search would find that in the program itself.
const memoryPassphrase = 46

// obfuscation changes a secret before the test sends it, so that the search does not find
// the test's own copy.
const obfuscation = 0x99

func obfuscate(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] ^= obfuscation
	}
	return out
}

// notDefended lists how many copies of a key TestMemory may find outside locked memory. For
// all other keys it may find none. SECURITY.md has the same table, which TestMemoryTable
// checks.
var notDefended = []struct {
	editions []Edition
	secret   string // prefix of the secret's name
	copies   int    // of each form
	reason   string
}{
	{[]Edition{Standard, FIPS, SM}, "a data key with a cipher", 2, "round keys, until `Destroy` or a second without use"},
	{[]Edition{Standard}, "the passphrase", 1, "the hash state of Argon2id, until its memory is used again"},
	{[]Edition{FIPS}, "the vault's key: log key", 8, "Go's Ed25519 caches the key of each signature until the garbage collector runs"},
	{[]Edition{SM}, "the log key's SM2 scalar", 8, "gmsm's big integers"},
}

// TestMemoryTable checks that SECURITY.md lists the copies that TestMemory allows.
func TestMemoryTable(t *testing.T) {
	text, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range notDefended {
		var editions []string
		for _, e := range row.editions {
			editions = append(editions, e.String())
		}
		line := fmt.Sprintf("| %s | %s | %d | %s |", strings.TrimPrefix(row.secret, "the vault's key: "), strings.Join(editions, ", "), row.copies, row.reason)
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("SECURITY.md lacks the line\n%s", line)
		}
	}
	if line := fmt.Sprintf("at most %d such copies", copiesBySignals); !strings.Contains(string(text), line) {
		t.Errorf("SECURITY.md lacks %q", line)
	}
}

// copiesBySignals is the number of copies that TestMemory may find in all if the runtime
// interrupts goroutines by signals, because the kernel then writes the registers to the
// stack of the signal handler.
const copiesBySignals = 12

// TestMemory searches the memory of a process that uses a vault for the vault's keys, in
// every form that the libraries use, outside locked memory. It searches while the vault is
// open and idle, after many goroutines used every key, after an import, after the
// destruction of a key's material, and after Close.
func TestMemory(t *testing.T) {
	if dir := os.Getenv(memoryDir); dir != "" {
		memoryChild(t, dir)
		return
	}
	t.Run("without signals", func(t *testing.T) { searchMemory(t, "asyncpreemptoff=1") })
	t.Run("with signals", func(t *testing.T) { searchMemory(t, "") })
}

// searchMemory runs TestMemory in a process with an additional GODEBUG setting.
func searchMemory(t *testing.T, debug string) {
	dir := filepath.Join(t.TempDir(), "vault")
	text, control := make([]byte, memoryPassphrase), make([]byte, 32)
	rand.Read(text)
	rand.Read(control)
	light := soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 3}.Passphrase(text)
	v, err := Create(t.Context(), dir, Config{Edition: testEdition()}, light)
	if err != nil {
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	material, second := make([]byte, len(ownKey(0))), make([]byte, len(ownKey(0)))
	rand.Read(material)
	rand.Read(second)
	mustKey(t, c, KeyOptions{Alias: "imported", Origin: OriginExternal})
	importRaw(t, c, "imported", material)
	mustKey(t, c, KeyOptions{Alias: "late", Origin: OriginExternal})
	mustKey(t, c, KeyOptions{Alias: "made"})
	mustKey(t, c, KeyOptions{Alias: "mac", Usage: GenerateVerifyMac})
	mustKey(t, c, KeyOptions{Alias: "sign", Usage: SignVerify, Spec: ECCP256})
	secrets := append(vaultSecrets(t, v, dir, light, text), secret{"the imported material", second, hmacKey}, secret{"the control", control, everyUse})
	closeChecked(t, v)

	child := startMemoryChild(t, dir, debug)
	child.send(t, obfuscate(text))
	child.send(t, obfuscate(control))
	child.wrap = func(p ImportParameters) []byte { return wrapFor(t, p, second) }
	signals := 0
	for _, stage := range []string{"open", "used", "imported", "destroyed", "closed"} {
		secrets = append(secrets, child.until(t, stage, secrets)...)
		found, where := scan(t, child.pid, newNeedles(secrets, v.suite))
		if os.Getenv("STRONGROOM_MEMORY_WHERE") != "" {
			t.Logf("%s:\n%s", stage, strings.Join(where, "\n"))
		}
		for form := range (secret{"the control", control, everyUse}).forms(v.suite) {
			if found["the control, "+form] == 0 {
				t.Errorf("%s: the search does not find the control %s", stage, form)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			switch excess := found[name] - allowedCopies(name); {
			case excess <= 0:
				if os.Getenv("STRONGROOM_MEMORY_WHERE") != "" && !strings.HasPrefix(name, "the control") {
					t.Logf("%s: %d copies of %s outside locked memory", stage, found[name], name)
				}
			case debug == "":
				signals += excess
				t.Logf("%s: %d copies of %s outside locked memory", stage, found[name], name)
			default:
				t.Errorf("%s: %d copies of %s outside locked memory, want %d", stage, found[name], name, allowedCopies(name))
			}
		}
		child.send(t, []byte{1})
	}
	if signals > copiesBySignals {
		t.Errorf("%d copies outside locked memory in all, want at most %d", signals, copiesBySignals)
	}
}

// allowedCopies returns the permitted number of copies of a form of a secret.
func allowedCopies(name string) int {
	if strings.HasPrefix(name, "the control") {
		return math.MaxInt
	}
	for _, row := range notDefended {
		if slices.Contains(row.editions, testEdition()) && strings.HasPrefix(name, row.secret) {
			return row.copies
		}
	}
	return 0
}

// vaultSecrets returns every secret of an open vault whose root p opens.
func vaultSecrets(t *testing.T, v *Vault, dir string, p driver.Protector, text []byte) []secret {
	t.Helper()
	description, err := keystore.ReadRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	root, err := p.Recover(t.Context(), nil, v.binding(), driver.Blob(description.Protectors[0].Blob))
	if err != nil {
		t.Fatal(err)
	}
	kdf := func(n int, key []byte, label, context string) []byte {
		out := make([]byte, n)
		v.suite.KDF(out, key, label, []byte(context))
		return out
	}
	rootSeal := kdf(v.suite.KeySize(), root, "strongroom/keyring", "")
	ring := openKeyring(t, v.suite, dir, rootSeal)
	all := []secret{
		{"the root", root, hmacKey},
		{"the passphrase", text, hmacKey},
		{"the keyring's key", rootSeal, cipherKey},
		{"the root file's MAC key", kdf(32, root, "strongroom/rootmac", ""), hmacKey},
		{"the store's secret", ring[:32], hmacKey},
		{"the record key", ring[34:66], hmacKey},
		{"the material key", ring[71:103], hmacKey},
		{"the path key", kdf(32, ring[:32], "strongroom/path", ""), hmacKey},
		{"the census key", kdf(32, ring[:32], "strongroom/census", ""), hmacKey},
		{"the tip key", kdf(32, ring[:32], "strongroom/tip", ""), hmacKey},
	}
	for _, label := range vaultsecrets.Labels() {
		use := hmacKey
		if label == "log key" && v.suite == suite.AES {
			use = ed25519Seed
		}
		all = append(all, secret{"the vault's key: " + label, vaultKey(v, label), use})
	}
	if v.suite == suite.SM {
		all = append(all, secret{"the log key's SM2 scalar", kdf(32, v.secrets.LogSeed(), "strongroom/sm2", "\x00\x00\x00\x00"), numberUse})
	}
	for _, alias := range []string{"imported", "made", "mac"} {
		all = append(all, secret{"the CMK " + alias, materialOf(t, v, alias), hmacKey})
	}
	return all
}

// openKeyring reads the keyring from the root file, according to docs/formats.md.
func openKeyring(t *testing.T, id suite.ID, dir string, key []byte) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "root"))
	if err != nil {
		t.Fatal(err)
	}
	at := 6 + 3 + 16 + 8 + 8
	protectors := int(binary.BigEndian.Uint16(b[at:]))
	at += 2
	for range protectors {
		for range 3 {
			at += 2 + int(binary.BigEndian.Uint16(b[at:]))
		}
		at += 1 + 8
		at += 4 + int(binary.BigEndian.Uint32(b[at:]))
	}
	n := int(binary.BigEndian.Uint32(b[at:]))
	ring, err := id.Open(nil, key, b[at+4:][:n], b[:at])
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// vaultKey returns the vault's own key with the given label.
func vaultKey(v *Vault, label string) []byte {
	key := make([]byte, vaultsecrets.Size)
	v.store.Secret(label, key)
	return key
}

// materialOf opens the blob of a CMK's material, according to docs/formats.md.
func materialOf(t *testing.T, v *Vault, alias string) []byte {
	t.Helper()
	k, err := v.As(DefaultOwner).DescribeKey(t.Context(), alias)
	if err != nil {
		t.Fatal(err)
	}
	ver, err := v.records.version(t.Context(), k.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ver.material()
	if err != nil {
		t.Fatal(err)
	}
	r, err := v.store.Get(t.Context(), materialPath(id))
	if err != nil {
		t.Fatal(err)
	}
	binding := fmt.Appendf(nil, "%s%s%s", r.Value[:5], id[:], ver.spec())
	key := make([]byte, v.suite.KeySize())
	v.suite.KDF(key, v.secrets.Soft(), "strongroom soft blob", binding)
	material, err := v.suite.Open(nil, key, r.Value[5:], binding)
	if err != nil {
		t.Fatal(err)
	}
	return material
}

// messageSecrets returns the root, key and plaintext of one ciphertext.
func messageSecrets(t *testing.T, known []secret, ct []byte, dataKey string) []secret {
	t.Helper()
	h, err := ciphertext.Parse(ct)
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := ciphertext.CanonicalContext(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range known {
		if !strings.HasPrefix(s.name, "the CMK ") {
			continue
		}
		root := h.Suite.MAC(s.bytes, h.PRFInput(canonical))
		plain, err := ciphertext.Open(nil, ct, canonical, root[:])
		if err != nil {
			continue
		}
		both := make([]byte, h.Suite.KeySize()+32)
		bind := h.Suite.Hash(framed("strongroom/bind/1"), framed(string(ct[:58])), framed(string(canonical)))
		h.Suite.KDF(both, root[:], "strongroom/message/1", bind[:])
		out := []secret{{"a message root", root[:], hmacKey}, {"a message key", both[:h.Suite.KeySize()], cipherKey}}
		if dataKey != "" {
			out = append(out, secret{dataKey, plain, dataKeyUse(h.Suite, plain)})
		}
		return out
	}
	t.Fatal("a ciphertext of the child opens under no CMK")
	return nil
}

// dataKeyUse returns the use of a data key. Only keys of a size that the suite's cipher
// accepts have round keys.
func dataKeyUse(id suite.ID, key []byte) secretUse {
	if len(key) == id.KeySize() {
		return cipherKey
	}
	return hmacKey
}

func framed(part string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(part))), part...)
}

// memoryProcess is the child of TestMemory.
type memoryProcess struct {
	pid   int
	lines *bufio.Scanner
	in    io.Writer
	wrap  func(ImportParameters) []byte
}

func startMemoryChild(t *testing.T, dir, debug string) *memoryProcess {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestMemory$", "-edition="+testEdition().String())
	if set := os.Getenv("GODEBUG"); set != "" {
		debug = strings.Trim(set+","+debug, ",")
	}
	cmd.Env = append(os.Environ(), memoryDir+"="+dir, "GODEBUG="+debug)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return &memoryProcess{pid: cmd.Process.Pid, lines: lines, in: in}
}

// until reads lines up to the announcement of a stage. It returns the secrets of the
// ciphertexts before it, computed from the known secrets, and wraps material for the child.
func (p *memoryProcess) until(t *testing.T, stage string, known []secret) (more []secret) {
	t.Helper()
	for p.lines.Scan() {
		what, value, _ := strings.Cut(p.lines.Text(), " ")
		data, _ := base64.StdEncoding.DecodeString(value)
		switch {
		case what == "stage" && value == stage:
			return more
		case what == "message":
			more = append(more, messageSecrets(t, known, data, "")...)
		case what == "key":
			more = append(more, messageSecrets(t, known, data, "a data key")...)
		case what == "cipher":
			more = append(more, messageSecrets(t, known, data, "a data key with a cipher")...)
		case what == "import":
			var params ImportParameters
			if err := json.Unmarshal(data, &params); err != nil {
				t.Fatal(err)
			}
			wrapped := p.wrap(params)
			p.send(t, append(binary.BigEndian.AppendUint16(nil, uint16(len(wrapped))), wrapped...))
		default:
			t.Fatalf("before stage %s the child prints %q", stage, p.lines.Text())
		}
	}
	t.Fatalf("the child ended before stage %s: %v", stage, p.lines.Err())
	return nil
}

func (p *memoryProcess) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := p.in.Write(b); err != nil {
		t.Fatal(err)
	}
}
