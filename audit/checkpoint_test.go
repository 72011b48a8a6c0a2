package audit_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"strongroom.example/audit"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/testing/redacttest"
)

func TestCheckpointFlips(t *testing.T) {
	for _, id := range suites {
		t.Run(suite.ID(id).Signature(), func(t *testing.T) { flipCheckpoint(t, newLog(t, id, 3)) })
	}
}

func flipCheckpoint(t *testing.T, l *testLog) {
	text, vkey := l.checkpoints[0], l.key.Verifier()
	got, err := audit.OpenCheckpoint(text, vkey)
	if err != nil || got != l.point(l.states[3]) {
		t.Fatal(got, err)
	}
	for i := range text {
		for bit := range 8 {
			bad := bytes.Clone(text)
			bad[i] ^= 1 << bit
			if _, err := audit.OpenCheckpoint(bad, vkey); !errors.Is(err, audit.ErrSignature) {
				t.Errorf("OpenCheckpoint with byte %d, bit %d flipped: %v, want ErrSignature", i, bit, err)
			}
		}
	}
	for i := range text {
		if _, err := audit.OpenCheckpoint(text[:i], vkey); !errors.Is(err, audit.ErrSignature) {
			t.Errorf("OpenCheckpoint of the first %d bytes: %v, want ErrSignature", i, err)
		}
	}
}

func TestLogKey(t *testing.T) {
	for _, id := range suites {
		t.Run(suite.ID(id).Signature(), func(t *testing.T) { checkLogKey(t, id) })
	}
	if _, err := audit.NewLogKey(0, "a", make([]byte, 32)); !errors.Is(err, audit.ErrKey) {
		t.Errorf("NewLogKey without a suite: %v, want ErrKey", err)
	}
	if _, err := audit.NewLogKey(audit.SuiteSM, "a", make([]byte, 32)); !suite.ID(audit.SuiteSM).Usable() && !errors.Is(err, audit.ErrKey) {
		t.Errorf("NewLogKey in suite SM with FIPS 140 enforced: %v, want ErrKey", err)
	}
}

func checkLogKey(t *testing.T, id audit.Suite) {
	seed := bytes.Repeat([]byte{3}, 32)
	for _, origin := range []string{"", "a b", "a+b", "a\nb", "a\xff", "a\x01b", "a\x7fb", "a\u0085b"} {
		if _, err := audit.NewLogKey(id, origin, seed); !errors.Is(err, audit.ErrKey) {
			t.Errorf("NewLogKey with origin %q: %v, want ErrKey", origin, err)
		}
	}
	if _, err := audit.NewLogKey(id, "a", seed[:31]); !errors.Is(err, audit.ErrKey) {
		t.Error(err)
	}
	key, err := audit.NewLogKey(id, "a", seed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Sign(audit.Checkpoint{Origin: "b"}); !errors.Is(err, audit.ErrCheckpoint) {
		t.Error(err)
	}
	redacttest.Silent(t, key, seed)
	seed[0] ^= 1
	if _, err := key.Sign(audit.Checkpoint{Origin: "a"}); !errors.Is(err, audit.ErrKey) {
		t.Errorf("Sign after the seed was changed: %v, want ErrKey", err)
	}
	key.Wipe()
	if !bytes.Equal(seed, make([]byte, 32)) {
		t.Error("Wipe did not zero the seed")
	}
	if _, err := key.Sign(audit.Checkpoint{Origin: "a"}); !errors.Is(err, audit.ErrKey) {
		t.Errorf("Sign after Wipe: %v, want ErrKey", err)
	}
}

// TestVerifierKeys: a verifier key that differs from the output of Verifier is ErrKey,
// and a valid key of another kind opens nothing.
func TestVerifierKeys(t *testing.T) {
	needSM(t)
	ed, sm := newLog(t, audit.SuiteAES, 3), newLog(t, audit.SuiteSM, 3)
	if v, err := note.NewVerifier(ed.key.Verifier()); err != nil || v.Name() != audit.Origin(testVault) {
		t.Errorf("note.NewVerifier of an Ed25519 log key: %v, or another name", err)
	}
	for _, l := range []*testLog{ed, sm} {
		vkey := l.key.Verifier()
		parts := strings.SplitN(vkey, "+", 3)
		raw, err := base64.StdEncoding.DecodeString(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		offCurve := bytes.Clone(raw)
		offCurve[len(raw)-1] ^= 1
		for name, bad := range map[string]string{
			"nothing":           "",
			"another origin":    "x" + vkey,
			"another id":        parts[0] + "+00000000+" + parts[2],
			"an id in capitals": parts[0] + "+" + strings.ToUpper(parts[1]) + "X+" + parts[2],
			"a kind unknown":    parts[0] + "+" + parts[1] + "+" + base64.StdEncoding.EncodeToString(append([]byte{2}, raw[1:]...)),
			"another point":     parts[0] + "+" + parts[1] + "+" + base64.StdEncoding.EncodeToString(offCurve),
			"cut":               vkey[:len(vkey)-4],
			"longer":            vkey + "AAAA",
		} {
			if _, err := audit.OpenCheckpoint(l.checkpoints[0], bad); !errors.Is(err, audit.ErrKey) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := audit.OpenCheckpoint(sm.checkpoints[0], ed.key.Verifier()); !errors.Is(err, audit.ErrSignature) {
		t.Errorf("OpenCheckpoint of an SM2 checkpoint with an Ed25519 key: %v, want ErrSignature", err)
	}
	if _, err := audit.OpenCheckpoint(ed.checkpoints[0], sm.key.Verifier()); !errors.Is(err, audit.ErrSignature) {
		t.Errorf("OpenCheckpoint of an Ed25519 checkpoint with an SM2 key: %v, want ErrSignature", err)
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	l := newLog(f, audit.SuiteAES, 3)
	want := l.point(l.states[3])
	for _, id := range suites {
		f.Add(newLog(f, id, 3).checkpoints[0])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := audit.OpenCheckpoint(text, l.key.Verifier()); err == nil && c != want {
			t.Errorf("OpenCheckpoint accepted %+v, which was not signed", c)
		}
	})
}

func FuzzVerifierKey(f *testing.F) {
	for _, id := range suites {
		f.Add(newLog(f, id, 0).key.Verifier())
	}
	f.Fuzz(func(t *testing.T, vkey string) {
		_, err := audit.OpenCheckpoint(nil, vkey)
		if !errors.Is(err, audit.ErrKey) && !errors.Is(err, audit.ErrSignature) {
			t.Error(err)
		}
		if _, theirs := note.NewVerifier(vkey); theirs == nil && errors.Is(err, audit.ErrKey) && canonical(vkey) {
			t.Errorf("package note accepts verifier key %q: OpenCheckpoint: %v", vkey, err)
		}
	})
}

// canonical reports whether a verifier key has no stray bits and a lower case id. Package
// note accepts both.
func canonical(vkey string) bool {
	_, rest, _ := strings.Cut(vkey, "+")
	id, key, _ := strings.Cut(rest, "+")
	_, err := base64.StdEncoding.Strict().DecodeString(key)
	return err == nil && id == strings.ToLower(id) && !strings.ContainsAny(key, "\r\n")
}
