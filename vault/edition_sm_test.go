package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/auditlog"
)

// TestSMEditionByGmsmAlone fills a vault of the SM edition, closes it, and computes every
// stored digest, MAC and derived key again with gmsm alone: root file, protector, keyring,
// tip, head, census, paths, records, the audit tree and its stored nodes. Package audit has
// such a test for checkpoints and exports, and internal/ciphertext has frozen vectors for
// ciphertexts.
func TestSMEditionByGmsmAlone(t *testing.T) {
	if !suite.SM.Usable() {
		t.Skip("this process enforces FIPS 140, which refuses the SM algorithms")
	}
	v, dir := newTestVault(t, Config{Edition: SM})
	hashed := fillSMVault(t, v)
	closeChecked(t, v)

	r, h := readSMVault(t, dir)
	r.equal("hash of the root file in the head", h.rootFile, smHash(r.rootFile))
	leaves := r.readRecords(h)
	r.equal("root of the log", h.logRoot, smTree(leaves))
	r.checkTip(h)
	contextHash := smMAC(smKDF(r.secret, "strongroom/secret", "context", 32), []byte("\x00\x01\x00\x06tenant\x00\x017"))
	if !bytes.Equal(hashed, contextHash) {
		t.Errorf("the context's hash is %x, and HMAC-SM3 gives %x", hashed, contextHash)
	}
	for n := range 2 { // an odd and an even number of commits, so that either slot of the tip is the newest once
		v, err := Open(t.Context(), dir, Config{Edition: SM}, passphrase(t, "correct horse"))
		if err != nil {
			t.Fatal(err)
		}
		for range n + 1 {
			if _, err := v.As(DefaultOwner).GenerateRandom(t.Context(), 16); err != nil {
				t.Fatal(err)
			}
		}
		closeChecked(t, v)
		r, h := readSMVault(t, dir)
		r.checkTip(h)
	}
}

// readSMVault reads the root file, the pairs and the head of a closed vault.
func readSMVault(t *testing.T, dir string) (*smReader, smHead) {
	t.Helper()
	r := &smReader{t: t, dir: dir}
	r.readRoot("correct horse")
	r.readStore()
	return r, r.readHead()
}

// fillSMVault makes keys of several kinds and more than 256 audit records, so that a node
// of the tree is stored. It returns the hash of an encryption context as recorded in the
// audit log.
func fillSMVault(t *testing.T, v *Vault) (contextHash []byte) {
	t.Helper()
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Alias: "a", Tags: map[string]string{"t": "1"}})
	mustKey(t, c, KeyOptions{Spec: SM2, Usage: SignVerify})
	if _, err := c.RotateKey(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Encrypt(ctx, k.ID, []byte("x"), EncryptionContext{"tenant": "7"}); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if _, err := c.GenerateRandom(ctx, 16); err != nil {
			t.Fatal(err)
		}
	}
	kind := base64.StdEncoding.EncodeToString([]byte("\xffstrongroom/sm2-sm"))
	if !strings.Contains(v.LogKey(), "+"+kind) || v.EditionReport().Signature != "SM2" {
		t.Errorf("the log key %s is not one of SM2", v.LogKey())
	}
	for rec, err := range c.AuditRecords(ctx, audit.Filter{Operation: string(OpEncrypt)}) {
		if err != nil {
			t.Fatal(err)
		}
		contextHash = rec.ContextHash
	}
	return contextHash
}

// smHead is the content of the head.
type smHead struct {
	generation, size, count   uint64
	logRoot, census, rootFile []byte
}

func (r *smReader) readHead() smHead {
	r.t.Helper()
	for _, p := range r.stored {
		if string(p.Key) != "h" {
			continue
		}
		_, _, value := r.unseal(p)
		f := fields(value)
		f.take(1)
		h := smHead{generation: f.u64(), size: f.u64()}
		h.logRoot = f.take(32)
		f.u64()
		h.census = f.take(32)
		h.count = f.u64()
		h.rootFile = f.take(32)
		return h
	}
	r.t.Fatal("the store has no head")
	return smHead{}
}

// readRecords opens every record, checks its key and the census of all records, and returns
// the audit records in order.
func (r *smReader) readRecords(h smHead) (leaves [][]byte) {
	r.t.Helper()
	census, count := make([]byte, 32), uint64(0)
	nodes := map[string][]byte{}
	for _, p := range r.stored {
		path, version, value := r.unseal(p)
		switch p.Key[0] {
		case 'a':
			var leaf []byte
			for f := fields(value); len(f) > 0; leaves = append(leaves, leaf) {
				leaf = f.leaf(leaf)
			}
		case 'r':
			r.equal("engine key of "+path, p.Key[1:], smMAC(r.derive("strongroom/path"), []byte(path)))
			entry := binary.BigEndian.AppendUint16(nil, uint16(len(path)))
			entry = append(binary.BigEndian.AppendUint64(entry, version), path...)
			for i, b := range smMAC(r.derive("strongroom/census"), entry, smHash(p.Value)) {
				census[i] ^= b
			}
			count++
			if strings.HasPrefix(path, "log/node/") {
				nodes[path] = value
			}
		}
	}
	r.equal("census digest", h.census, census)
	if count != h.count || uint64(len(leaves)) != h.size {
		r.t.Errorf("%d records and %d audit records; the head says %d and %d", count, len(leaves), h.count, h.size)
	}
	r.equal("stored node of the tree", nodes[auditlog.NodePath(8, 0)], smTree(leaves[:256]))
	return leaves
}

// checkTip checks that the newest slot of the tip matches the head, and the MAC of each
// slot that is written. Which slot is the newest depends on how often the tip was synced,
// and so on the time that the vault was open.
func (r *smReader) checkTip(h smHead) {
	r.t.Helper()
	tip, err := os.ReadFile(filepath.Join(r.dir, "tip"))
	if err != nil {
		r.t.Fatal(err)
	}
	var newest smHead
	for _, slot := range [][]byte{tip[:4096], tip[4096:]} {
		if bytes.Equal(slot[:4], make([]byte, 4)) {
			continue // not written yet
		}
		f := fields(slot[4:])
		told := smHead{generation: f.u64(), size: f.u64(), logRoot: f.take(32), rootFile: f.take(32)}
		f.take(8 + 8 + 8 + 32) // the end of the journal
		f.take(32 * int(f.take(1)[0]))
		r.equal("MAC of the tip", f.take(32), smMAC(r.derive("strongroom/tip"), slot[:len(slot)-len(f)-32]))
		if told.generation > newest.generation {
			newest = told
		}
	}
	if newest.generation != h.generation || newest.size != h.size {
		r.t.Errorf("the tip names generation %d with %d audit records, and the head %d with %d",
			newest.generation, newest.size, h.generation, h.size)
	}
	r.equal("root of the log in the tip", newest.logRoot, h.logRoot)
	r.equal("hash of the root file in the tip", newest.rootFile, h.rootFile)
}

// smTree returns the root of the RFC 6962 tree over leaves, by its recursive definition.
func smTree(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return smHash([]byte{0}, leaves[0])
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return smHash([]byte{1}, smTree(leaves[:k]), smTree(leaves[k:]))
}
