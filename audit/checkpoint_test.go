package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/internal/suite"
)

func TestCheckpointFlips(t *testing.T) {
	l := newLog(t, suite.AES, 3)
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
				t.Errorf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
	for i := range text {
		if _, err := audit.OpenCheckpoint(text[:i], vkey); !errors.Is(err, audit.ErrSignature) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestLogKey(t *testing.T) {
	seed := bytes.Repeat([]byte{3}, 32)
	for _, origin := range []string{"", "a b", "a+b", "a\nb"} {
		if _, err := audit.NewLogKey(origin, seed); !errors.Is(err, audit.ErrKey) {
			t.Errorf("origin %q: %v", origin, err)
		}
	}
	if _, err := audit.NewLogKey("a", seed[:31]); !errors.Is(err, audit.ErrKey) {
		t.Error(err)
	}
	key, err := audit.NewLogKey("a", seed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Sign(audit.Checkpoint{Origin: "b"}); !errors.Is(err, audit.ErrCheckpoint) {
		t.Error(err)
	}
	marshalled, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s %x %d", key, key, key, key, key, key), string(marshalled), key.LogValue().String()} {
		if !strings.Contains(s, "redacted") || strings.Contains(s, "3 3 3") || strings.Contains(s, "030303") {
			t.Errorf("prints %s", s)
		}
	}
	seed[0] ^= 1
	if _, err := key.Sign(audit.Checkpoint{Origin: "a"}); !errors.Is(err, audit.ErrKey) {
		t.Errorf("changed seed: %v", err)
	}
	key.Wipe()
	if !bytes.Equal(seed, make([]byte, 32)) {
		t.Error("the seed is not wiped")
	}
	if _, err := key.Sign(audit.Checkpoint{Origin: "a"}); !errors.Is(err, audit.ErrKey) {
		t.Errorf("wiped: %v", err)
	}
	if _, err := audit.OpenCheckpoint(nil, "nonsense"); !errors.Is(err, audit.ErrKey) {
		t.Error(err)
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	l := newLog(f, suite.AES, 3)
	want := l.point(l.states[3])
	f.Add(l.checkpoints[0])
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := audit.OpenCheckpoint(text, l.key.Verifier()); err == nil && c != want {
			t.Errorf("opened %+v", c)
		}
	})
}
