package audit

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"strongroom.example/internal/suite"
)

func testReceipt() Receipt {
	return Receipt{
		Origin: "strongroom.example/log/1", Key: "6fa6b14e-d863-42eb-b704-731a8723b5d2", Version: 3,
		From: Place{"soft", "00112233445566778899aabbccddeeff"}, To: Place{"the hsm", "ffeeddccbbaa99887766554433221100"},
		Device: "SN \"1\" ü", Time: time.Date(2026, 11, 23, 13, 0, 0, 7, time.UTC),
	}
}

func TestReceipt(t *testing.T) {
	for _, id := range []suite.ID{suite.AES, suite.SM} {
		if !id.Usable() {
			continue // the process enforces FIPS 140
		}
		key, err := NewLogKey(Suite(id), "strongroom.example/log/1", bytes.Repeat([]byte{7}, 32))
		if err != nil {
			t.Fatal(err)
		}
		want := testReceipt()
		text, err := key.SignReceipt(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenReceipt(text, key.Verifier())
		if err != nil || got != want {
			t.Errorf("%v, %v\n%+v\n%+v", id, err, got, want)
		}
		if _, err := OpenCheckpoint(text, key.Verifier()); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("OpenCheckpoint of a receipt: %v, want ErrCheckpoint", err)
		}
		checkpoint, err := key.Sign(Checkpoint{Origin: want.Origin, Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenReceipt(checkpoint, key.Verifier()); !errors.Is(err, ErrReceipt) {
			t.Errorf("OpenReceipt of a checkpoint: %v, want ErrReceipt", err)
		}
		for i := range text {
			text[i] ^= 1
			if _, err := OpenReceipt(text, key.Verifier()); err == nil {
				t.Fatalf("OpenReceipt with byte %d flipped returned no error", i)
			}
			text[i] ^= 1
		}
	}
}

func TestReceiptRefused(t *testing.T) {
	key, err := NewLogKey(SuiteAES, "strongroom.example/log/1", bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Receipt){
		"other origin":          func(r *Receipt) { r.Origin = "other" },
		"line break in the key": func(r *Receipt) { r.Key = "a\nversion 9" },
		"space in the material": func(r *Receipt) { r.From.Material = "a b" },
		"no key":                func(r *Receipt) { r.Key = "" },
	} {
		r := testReceipt()
		spoil(&r)
		if _, err := key.SignReceipt(r); !errors.Is(err, ErrReceipt) {
			t.Errorf("SignReceipt with %s: %v, want ErrReceipt", name, err)
		}
	}
}

func FuzzParseReceipt(f *testing.F) {
	f.Add(testReceipt().text())
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseReceipt(text); err == nil && r.text() != text {
			t.Errorf("parseReceipt(%q) = %+v, which is encoded differently", text, r)
		}
	})
}
