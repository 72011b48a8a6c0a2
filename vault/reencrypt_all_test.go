package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
)

// items yields the given items.
func items(all ...ReEncryptItem) iter.Seq2[ReEncryptItem, error] {
	return func(yield func(ReEncryptItem, error) bool) {
		for _, item := range all {
			if !yield(item, nil) {
				return
			}
		}
	}
}

func discardReEncrypted(context.Context, ReEncrypted) error { return nil }

// newItems encrypts n texts under a CMK, "text 0" and so on, with the number as context.
func newItems(t *testing.T, c Client, key string, n int) (all []ReEncryptItem) {
	t.Helper()
	for i := range n {
		ec := EncryptionContext{"n": fmt.Sprint(i)}
		ct, err := c.Encrypt(t.Context(), key, fmt.Append(nil, "text ", i), ec)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ReEncryptItem{ID: fmt.Sprint(i), Ciphertext: ct, From: ec})
	}
	return all
}

// TestReEncryptAll: the results are in the order of the source, each under the primary
// version; items that are current, damaged or of a disabled CMK are told apart.
func TestReEncryptAll(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Alias: "k"})
	mustKey(t, c, KeyOptions{Alias: "off"})
	all := newItems(t, c, "k", 40)
	all[7].Ciphertext = bytes.Repeat([]byte{1}, 200)
	all[9].Ciphertext = newItems(t, c, "off", 10)[9].Ciphertext
	all[11].To = EncryptionContext{"moved": "yes"}
	if err := second(c.RotateKey(ctx, "k")); err != nil {
		t.Fatal(err)
	}
	all[13] = newItems(t, c, "k", 14)[13] // of the new version
	if err := c.DisableKeys(ctx, "off"); err != nil {
		t.Fatal(err)
	}
	var got []ReEncrypted
	var reported []uint64
	progress, err := c.ReEncryptAll(ctx, "k", items(all...), func(_ context.Context, r ReEncrypted) error {
		got = append(got, r)
		return nil
	}, ReEncryptOptions{Callers: 5, Progress: func(p ReEncryptProgress) { reported = append(reported, p.Done) }})
	if err != nil || progress.Done != 40 || progress.Unchanged != 1 || progress.Failed != 2 || progress.LastID != "39" || len(got) != 40 || len(reported) != 40 {
		t.Fatalf("ReEncryptAll: %+v, %v, %d results, %d reports", progress, err, len(got), len(reported))
	}
	for i, r := range got {
		if want := map[int]error{7: ErrCiphertext, 9: ErrKeyState}[i]; want != nil {
			if !errors.Is(r.Err, want) || !bytes.Equal(r.Ciphertext, all[i].Ciphertext) {
				t.Errorf("item %d: %v, want %v and the given ciphertext", i, r.Err, want)
			}
			continue
		}
		ec := all[i].From
		if all[i].To != nil {
			ec = all[i].To
		}
		text, err := c.Decrypt(ctx, r.Ciphertext, ec)
		in, _ := Inspect(r.Ciphertext)
		if r.ID != fmt.Sprint(i) || r.Err != nil || r.Unchanged != (i == 13) || err != nil || string(text) != "text "+r.ID || in.Key != k.ID || in.Version != 2 {
			t.Errorf("item %d: %+v, text %q, error %v, version %d", i, r, text, err, in.Version)
		}
	}
}

// TestReEncryptAllResumes ends the work at each of several places, and goes on with the
// token: every item is accepted once.
func TestReEncryptAllResumes(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(allowEveryone)
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As("a"), t.Context()
	k, other := mustKey(t, c, KeyOptions{}), mustKey(t, c, KeyOptions{})
	all := newItems(t, c, k.ID, 50)
	full := errors.New("the sink is full")
	var ids []string
	token := ""
	for _, until := range []int{0, 1, 20, 21, 49, 50} {
		p, err := c.ReEncryptAll(ctx, other.ID, items(all...), func(_ context.Context, r ReEncrypted) error {
			if len(ids) == until {
				return full
			}
			ids = append(ids, r.ID)
			return nil
		}, ReEncryptOptions{Resume: token})
		if len(ids) != until || p.Done != uint64(until) || until < 50 && err != full || until == 50 && err != nil {
			t.Fatalf("until %d: %d items accepted, %+v, %v", until, len(ids), p, err)
		}
		token = p.Resume
	}
	if !slices.EqualFunc(ids, all, func(id string, item ReEncryptItem) bool { return id == item.ID }) {
		t.Errorf("accepted %q", ids)
	}
	swapped := slices.Clone(all)
	slices.Reverse(swapped)
	for name, row := range map[string]struct {
		c      Client
		key    string
		source []ReEncryptItem
	}{
		"another principal": {v.As("b"), other.ID, all}, "another key": {c, k.ID, all},
		"another order": {c, other.ID, swapped}, "a shorter source": {c, other.ID, all[:49]},
	} {
		_, err := row.c.ReEncryptAll(ctx, row.key, items(row.source...), discardReEncrypted, ReEncryptOptions{Resume: token})
		if !errors.Is(err, ErrToken) {
			t.Errorf("resumed with %s: %v, want ErrToken", name, err)
		}
	}
}

// TestReEncryptAllEnds: what would fail for every item ends the work, and no result is
// passed to the sink with that error.
func TestReEncryptAllEnds(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	mustKey(t, c, KeyOptions{Alias: "from"})
	to := mustKey(t, c, KeyOptions{})
	all := newItems(t, c, "from", 60)
	n := 0
	p, err := c.ReEncryptAll(ctx, to.ID, items(all...), func(_ context.Context, r ReEncrypted) error {
		if n++; n == 5 {
			must(t, c.DisableKeys(ctx, to.ID))
		}
		return r.Err
	}, ReEncryptOptions{Callers: 2})
	if !errors.Is(err, ErrKeyState) || p.Done != uint64(n) || p.Failed != 0 || n < 5 || n == 60 {
		t.Errorf("the CMK was disabled after 5 items: %+v, %v, %d results", p, err, n)
	}
	must(t, c.EnableKeys(ctx, to.ID))
	broken := errors.New("the database is gone")
	source := func(yield func(ReEncryptItem, error) bool) {
		_ = yield(all[0], nil) && yield(ReEncryptItem{}, broken)
	}
	if p, err := c.ReEncryptAll(ctx, to.ID, source, discardReEncrypted, ReEncryptOptions{}); err != broken || p.Done != 1 {
		t.Errorf("the source failed: %+v, %v", p, err)
	}
	x := &closingCall{v: v}
	_, err = c.ReEncryptAll(ctx, to.ID, items(all...), func(context.Context, ReEncrypted) error {
		if x.done == nil {
			x.start()
			<-x.done
		}
		return nil
	}, ReEncryptOptions{})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("the vault was closed: %v, want ErrClosed", err)
	}
	if _, err := c.ReEncryptAll(ctx, "", nil, nil, ReEncryptOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// TestReEncryptAllIsNoUse: the record with which ReEncryptAll begins is no use of the CMK.
func TestReEncryptAllIsNoUse(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	none := func(func(ReEncryptItem, error) bool) {}
	if _, err := c.ReEncryptAll(t.Context(), k.ID, none, func(context.Context, ReEncrypted) error { return nil }, ReEncryptOptions{}); err != nil {
		t.Fatal(err)
	}
	if k, err := c.DescribeKey(t.Context(), k.ID); err != nil || k.Uses.Protected != 0 {
		t.Errorf("after ReEncryptAll of nothing: uses %+v, error %v; want none", k.Uses, err)
	}
}
