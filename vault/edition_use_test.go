package vault

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault/internal/editionrules"
)

// TestEditionsInEveryProcess runs the tests of this file, and a walk through a vault, in
// processes of each kind. Running the whole suite under fips140=only is separate; see
// editionName.
func TestEditionsInEveryProcess(t *testing.T) {
	const child = "STRONGROOM_EDITION_CHILD"
	if os.Getenv(child) != "" {
		t.Skip("this is the child")
	}
	for _, mode := range []string{"off", "on", "only"} {
		t.Run("fips140="+mode, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^(TestEdition|TestFIPS|TestEncryptRotateReopen$|TestDataKey$)")
			cmd.Env = append(os.Environ(), child+"=1", "GODEBUG=fips140="+mode)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("the child process: %v\n%s", err, out)
			}
		})
	}
}

// TestEditionNeedsItsProcess: Create and Open reject an edition that the process cannot
// use, with an error that says what to do, and create nothing.
func TestEditionNeedsItsProcess(t *testing.T) {
	for edition, row := range map[Edition]struct {
		refused bool
		say     string
	}{
		Standard: {false, ""},
		FIPS:     {!fips140.Enabled(), "GODEBUG=fips140=on"},
		SM:       {fips140.Enforced(), "GODEBUG=fips140=only"},
	} {
		dir := filepath.Join(t.TempDir(), "vault")
		v, err := Create(t.Context(), dir, Config{Edition: edition}, passphrase(t, "p"))
		if !row.refused {
			if err != nil {
				t.Fatalf("Create in edition %v: %v", edition, err)
			}
			closeChecked(t, v)
			continue
		}
		_, openErr := Open(t.Context(), dir, Config{Edition: edition}, passphrase(t, "p"))
		for _, err := range []error{err, openErr} {
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), row.say) {
				t.Errorf("edition %v: %v, want ErrUnsupported with the remedy", edition, err)
			}
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("edition %v: the directory was created: %v", edition, err)
		}
	}
}

// TestEditionIsBound writes another edition and its suite into the root file, and corrects
// the file's unkeyed hash.
func TestEditionIsBound(t *testing.T) {
	for _, edition := range editions {
		for _, other := range editions {
			if other == edition {
				continue
			}
			t.Run(edition.String()+" as "+other.String(), func(t *testing.T) {
				v, dir := newTestVault(t, Config{Edition: edition})
				closeChecked(t, v)
				good, err := os.ReadFile(filepath.Join(dir, "root"))
				if err != nil {
					t.Fatal(err)
				}
				bad := bytes.Clone(good[:len(good)-32])
				bad[7], bad[8] = byte(editionrules.SuiteOf(other)), byte(other)
				sum := editionrules.SuiteOf(other).Hash(bad)
				writeRoots(t, dir, append(bad, sum[:]...))
				if _, err := Open(t.Context(), dir, Config{Edition: edition}, passphrase(t, "correct horse")); !errors.Is(err, ErrInvalid) {
					t.Errorf("opened as what it was: %v", err)
				}
				if _, err := Open(t.Context(), dir, Config{Edition: other}, passphrase(t, "correct horse")); !errors.Is(err, ErrUnlock) {
					t.Errorf("opened as what it is not: %v", err)
				}
				if editionrules.SuiteOf(other) != editionrules.SuiteOf(edition) {
					bad[8] = byte(edition) // only the edition changes, not the suite
					sum = editionrules.SuiteOf(other).Hash(bad)
					writeRoots(t, dir, append(bad, sum[:]...))
					if _, err := Open(t.Context(), dir, Config{Edition: edition}, passphrase(t, "correct horse")); !errors.Is(err, ErrCorrupt) {
						t.Errorf("opened in another suite: %v", err)
					}
				}
				writeRoots(t, dir, good)
				v, err = Open(t.Context(), dir, Config{Edition: edition}, passphrase(t, "correct horse"))
				if err != nil {
					t.Fatal(err)
				}
				closeChecked(t, v)
			})
		}
	}
}

func writeRoots(t *testing.T, dir string, content []byte) {
	t.Helper()
	for _, name := range []string{"root", "root.copy"} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEditionReport: the report lists what is used and what is not approved, the audit log
// has its data, and nothing is called validated.
func TestEditionReport(t *testing.T) {
	device := drivertest.NewMemory()
	t.Cleanup(func() { device.Close() })
	for _, edition := range editions {
		v, _ := newTestVault(t, Config{Edition: edition, Drivers: map[string]driver.Driver{"hsm": device}})
		r := v.EditionReport()
		if r.Edition != edition || v.Edition() != edition || r.Suite != v.suite.String() {
			t.Errorf("EditionReport: %+v", r)
		}
		all := strings.Join(slices.Concat([]string{r.Module}, r.Refused, r.OutsideModule, r.NotApproved), "\n")
		if strings.Contains(strings.ToLower(all), "validat") || strings.Contains(strings.ToLower(all), "certif") {
			t.Errorf("the report of edition %v claims too much:\n%s", edition, all)
		}
		var want []string
		switch edition {
		case FIPS:
			want = []string{"uses Go's module " + fips140.Version(), "RSAES_PKCS1_V1_5", "SM2", "HMAC_SM3", "Argon2id", "XSalsa20-Poly1305", "SP 800-108", `device "hsm"`}
		case SM:
			want = []string{"gmsm", "Argon2id", "XSalsa20-Poly1305"}
		}
		for _, w := range want {
			if !strings.Contains(all, w) {
				t.Errorf("the report of edition %v does not name %s:\n%s", edition, w, all)
			}
		}
		first := firstRecord(t, v)
		if first.Operation != string(OpCreateVault) || first.Detail["edition"] != edition.String() || first.Detail["module"] != r.Module {
			t.Errorf("edition %v: the first audit record is %+v", edition, first)
		}
	}
}

func firstRecord(t *testing.T, v *Vault) audit.Record {
	t.Helper()
	for r, err := range v.As(DefaultOwner).AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	t.Fatal("there is no such audit record")
	return audit.Record{}
}

// TestFIPSRefuses checks the algorithms that the FIPS edition does not allow, and similar
// ones that are approved.
func TestFIPSRefuses(t *testing.T) {
	if !fips140.Enabled() {
		t.Skip("the process does not use Go's FIPS 140-3 module; TestEditionsInEveryProcess has one that does")
	}
	v, _ := newTestVault(t, Config{Edition: FIPS})
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: AsymmetricDecrypt}).ID
	sign := mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: SignVerify}).ID
	d, err := c.Decrypter(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("m")
	ct := encryptRSA(t, d.Public().(*rsa.PublicKey), RSAESOAEPSHA256, message)
	create := func(o KeyOptions) error { _, err := c.CreateKey(ctx, o); return err }
	decrypt := func(alg EncryptionAlgorithm) error { _, err := c.AsymmetricDecrypt(ctx, k, ct, alg); return err }
	decrypter := func(opts crypto.DecrypterOpts) error { _, err := d.Decrypt(nil, ct, opts); return err }
	dataKey := func(n int) error {
		_, err := c.GenerateDataKeyWithoutPlaintext(ctx, mustKey(t, c, KeyOptions{}).ID, n, nil)
		return err
	}
	openKey := func(n int) error { // OpenDataKey accepts a ciphertext of Encrypt
		short, err := c.Encrypt(ctx, mustKey(t, c, KeyOptions{}).ID, make([]byte, n), nil)
		if err != nil {
			return err
		}
		dk, err := c.OpenDataKey(ctx, short, nil)
		dk.Destroy()
		return err
	}
	signed := func(alg SignAlgorithm) error {
		_, err := c.Sign(ctx, sign, message, SignOptions{Algorithm: alg})
		return err
	}
	for name, row := range map[string]struct{ got, want error }{
		"opening 13 bytes":   {openKey(13), ErrUnsupported},
		"opening 14 bytes":   {openKey(14), nil},
		"SM2 to sign":        {create(KeyOptions{Spec: SM2, Usage: SignVerify}), ErrUnsupported},
		"SM2 to decrypt":     {create(KeyOptions{Spec: SM2, Usage: AsymmetricDecrypt}), ErrUnsupported},
		"HMAC with SM3":      {create(KeyOptions{Spec: HMACSM3}), ErrUnsupported},
		"PKCS #1 v1.5":       {decrypt(RSAESPKCS1V15), ErrUnsupported},
		"OAEP SHA-1":         {decrypt(RSAESOAEPSHA1), ErrUnsupported},
		"Decrypter, PKCS #1": {decrypter(nil), ErrUnsupported},
		"Decrypter, SHA-1":   {decrypter(&rsa.OAEPOptions{Hash: crypto.SHA1}), ErrUnsupported},
		"data key of 13":     {dataKey(13), ErrUnsupported},
		"OAEP SHA-256":       {decrypt(RSAESOAEPSHA256), nil},
		"Decrypter, SHA-256": {decrypter(&rsa.OAEPOptions{Hash: crypto.SHA256}), nil},
		"data key of 14":     {dataKey(14), nil},
		"PSS":                {signed(RSAPSSSHA256), nil},
		"PKCS #1 signature":  {signed(RSAPKCS1SHA256), nil},
		"Ed25519":            {create(KeyOptions{Spec: Ed25519}), nil},
	} {
		if !errors.Is(row.got, row.want) {
			t.Errorf("%s: %v, want %v", name, row.got, row.want)
		}
	}
	for _, p := range v.store.Root().Protectors {
		if p.Blob[6] != 2 {
			t.Errorf("%s is stretched by %d, not by PBKDF2 with HMAC-SHA-256", p.Kind, p.Blob[6])
		}
	}
}
