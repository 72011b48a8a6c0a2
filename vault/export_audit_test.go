package vault_test

import (
	"bytes"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/auditor"
	"strongroom.example/vault"
)

// TestIndependentReaderVerifiesExport: golang.org/x/mod/sumdb alone verifies the export of
// a vault that was used, closed and opened again, and detects every change of it.
func TestIndependentReaderVerifiesExport(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	pass := soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("correct horse"))
	v, err := vault.Create(ctx, dir, vault.Config{}, pass)
	if err != nil {
		t.Fatal(err)
	}
	const messages = 1100 // more than between two checkpoints
	key, err := v.As(vault.DefaultOwner).CreateKey(ctx, vault.KeyOptions{})
	for i := 0; i < messages && err == nil; i++ {
		_, err = v.As(vault.DefaultOwner).Encrypt(ctx, key.ID, []byte("4711"), vault.EncryptionContext{"<&>": "\u2028\n"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err = vault.Open(ctx, dir, vault.Config{}, pass); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var export bytes.Buffer
	if err := v.As(vault.DefaultOwner).ExportAudit(ctx, &export); err != nil {
		t.Fatal(err)
	}
	r, err := auditor.Verify(bytes.NewReader(export.Bytes()), v.LogKey())
	if err != nil || r.Operations[string(vault.OpEncrypt)] != messages || r.Checkpoints < 2 || r.Origin != audit.Origin(v.ID()) {
		t.Errorf("VerifyExport: %+v, error %v", r, err)
	}
	header := bytes.IndexByte(export.Bytes(), '\n') // the first line has the log key and is not signed
	for at := header + 1; at < export.Len(); at += export.Len() / 50 {
		if bytes.HasPrefix(export.Bytes()[at+1:], []byte("=")) {
			at-- // the last character of base64 has unused bits
		}
		bad := bytes.Clone(export.Bytes())
		bad[at] ^= 1
		if _, err := auditor.Verify(bytes.NewReader(bad), v.LogKey()); err == nil {
			t.Errorf("byte %d flipped, and nothing found", at)
		}
	}
}
