package vault

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"strongroom.example/audit"
)

// allPages reads a listing in pages, and calls between after each page but the last.
func allPages(t *testing.T, c Client, f KeyFilter, limit int, between func()) (ids []string) {
	t.Helper()
	p := PageRequest{Limit: limit}
	for {
		page, err := c.ListKeysPage(t.Context(), f, p)
		if err != nil {
			t.Fatal(err)
		}
		if limit > 0 && len(page.Keys) > limit {
			t.Errorf("a page has %d CMKs, the limit is %d", len(page.Keys), limit)
		}
		for _, k := range page.Keys {
			ids = append(ids, k.ID)
		}
		if page.Next == "" {
			return ids
		}
		if p.Token = page.Next; between != nil {
			between()
		}
	}
}

// newExternalKeys makes n CMKs without material, which is the fastest kind to make.
func newExternalKeys(t testing.TB, c Client, n int, options func(i int) KeyOptions) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				o := options(i)
				o.Origin = OriginExternal
				if _, err := c.CreateKey(t.Context(), o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestListKeysPages: pages of any size have the CMKs that ListKeys yields, in its order.
func TestListKeysPages(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(byTeam)
	v, _ := newTestVault(t, cfg)
	owner := v.As(DefaultOwner)
	newExternalKeys(t, owner, 57, func(i int) KeyOptions {
		return KeyOptions{Alias: fmt.Sprintf("%c-%d", "ab"[i%2], i), Tags: map[string]string{"team": []string{"red", "blue"}[i%3/2]}}
	})
	mustKey(t, owner, KeyOptions{Spec: HMAC256, Usage: GenerateVerifyMac, Tags: map[string]string{"team": "red"}})
	for name, f := range map[string]KeyFilter{
		"all": {}, "state": {State: PendingImport}, "usage": {Usage: GenerateVerifyMac}, "spec": {Spec: Symmetric}, "origin": {Origin: OriginExternal},
		"driver": {Driver: softDriver}, "alias": {Alias: "a-"}, "tag": {Tags: map[string]string{"team": "red"}}, "none": {Alias: "c"},
	} {
		for _, c := range []Client{owner, v.As("red")} {
			var want []string
			for k, err := range c.ListKeys(t.Context(), f) {
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, k.ID)
			}
			for _, limit := range []int{0, 1, 7, 57, MaxPage} {
				if got := allPages(t, c, f, limit, nil); !slices.Equal(got, want) {
					t.Errorf("%s, by %s, pages of %d: %d CMKs, want the %d of ListKeys", name, c.principal, limit, len(got), len(want))
				}
			}
		}
	}
	if _, err := v.As("red").ListKeysPage(t.Context(), KeyFilter{}, PageRequest{Limit: 3}); err != nil {
		t.Fatal(err)
	}
	if r := lastRecord(t, owner, OpListKeys); r.Result != audit.OK || r.Detail["keys"] != "3" {
		t.Errorf("a page of 3 is recorded as %s with %v", r.Result, r.Detail)
	}
}

// TestListKeysPageWhileKeysCome: CMKs that are made and removed between pages do not make a
// page miss or repeat others.
func TestListKeysPageWhileKeysCome(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	newExternalKeys(t, c, 40, func(int) KeyOptions { return KeyOptions{} })
	before := allPages(t, c, KeyFilter{}, 0, nil)
	got := allPages(t, c, KeyFilter{}, 3, func() { mustKey(t, c, KeyOptions{Origin: OriginExternal}) })
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Error("a listing is not in order, or repeats a CMK")
	}
	for _, id := range before {
		if !slices.Contains(got, id) {
			t.Errorf("a listing misses %s, which was there all the time", id)
		}
	}
}

// TestPageTokens: a token is valid for its principal and filter only, and after a restart.
func TestPageTokens(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(allowEveryone)
	v, dir := newTestVault(t, cfg)
	c, ctx := v.As("a"), t.Context()
	newExternalKeys(t, c, 5, func(int) KeyOptions { return KeyOptions{} })
	f := KeyFilter{State: PendingImport}
	first, err := c.ListKeysPage(ctx, f, PageRequest{Limit: 2})
	if err != nil || first.Next == "" {
		t.Fatalf("the first page: %+v, %v", first, err)
	}
	other, _ := newTestVault(t, cfg)
	for name, row := range map[string]struct {
		c     Client
		f     KeyFilter
		token string
	}{
		"another filter":    {c, KeyFilter{}, first.Next},
		"another principal": {v.As("b"), f, first.Next},
		"another vault":     {other.As("a"), f, first.Next},
		"cut":               {c, f, first.Next[1:]},
		"invented":          {c, f, "next"},
	} {
		_, err := row.c.ListKeysPage(ctx, row.f, PageRequest{Token: row.token})
		if !errors.Is(err, ErrToken) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrToken", name, err)
		}
	}
	for _, limit := range []int{-1, MaxPage + 1} {
		if _, err := c.ListKeysPage(ctx, f, PageRequest{Limit: limit}); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrToken) {
			t.Errorf("limit %d: %v, want ErrInvalid", limit, err)
		}
	}
	closeChecked(t, v)
	if v, err = Open(ctx, dir, cfg, passphrase(t, "correct horse")); err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	rest, err := v.As("a").ListKeysPage(ctx, f, PageRequest{Token: first.Next})
	if err != nil || len(rest.Keys) != 3 || rest.Next != "" || rest.Keys[0].ID <= first.Keys[1].ID {
		t.Errorf("the second page after a restart: %+v, %v", rest, err)
	}
}

// TestPageIsBounded: a filter that selects one of many CMKs ends pages early, and the
// listing still finds it.
func TestPageIsBounded(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	newExternalKeys(t, c, maxExamined+50, func(i int) KeyOptions {
		if i == 0 {
			return KeyOptions{Alias: "one"}
		}
		return KeyOptions{}
	})
	page, err := c.ListKeysPage(t.Context(), KeyFilter{Alias: "none"}, PageRequest{})
	if err != nil || len(page.Keys) != 0 || page.Next == "" {
		t.Errorf("the first page of a filter that selects none: %d CMKs, next %q, %v", len(page.Keys), page.Next, err)
	}
	if got := allPages(t, c, KeyFilter{Alias: "one"}, 0, nil); len(got) != 1 {
		t.Errorf("all pages of a filter that selects one: %d CMKs", len(got))
	}
}

// TestListingReportsAuthorizerErrors: a listing does not leave out a CMK because the
// Authorizer failed, whatever its error is.
func TestListingReportsAuthorizerErrors(t *testing.T) {
	cfg := testConfig()
	fails := false
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		if fails && r.Operation == OpDescribeKey {
			return Decision{}, ErrNotFound
		}
		return Decision{Allow: true}, nil
	})
	v, _ := newTestVault(t, cfg)
	owner := v.As(DefaultOwner)
	mustKey(t, owner, KeyOptions{})
	fails = true
	if page, err := owner.ListKeysPage(t.Context(), KeyFilter{}, PageRequest{}); !errors.Is(err, ErrDenied) {
		t.Errorf("ListKeysPage: %+v, %v, want ErrDenied", page, err)
	}
}

// TestPageAfterClose: a page token of a closed vault is not verified by a wiped key.
func TestPageAfterClose(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	owner := v.As(DefaultOwner)
	newExternalKeys(t, owner, 2, func(int) KeyOptions { return KeyOptions{} })
	page, err := owner.ListKeysPage(t.Context(), KeyFilter{}, PageRequest{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.ListKeysPage(t.Context(), KeyFilter{}, PageRequest{Token: page.Next}); !errors.Is(err, ErrClosed) {
		t.Errorf("ListKeysPage of a closed vault: %v, want ErrClosed", err)
	}
}
