package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom.example/keystore"
)

func get(t *testing.T, open Opener) {
	e := fresh(t, open)
	must(t, e.Commit(t.Context(), puts("k", "one", "kk", "two")))
	must(t, e.Commit(t.Context(), puts("k", "new")))
	if v, err := e.Get(t.Context(), []byte("k")); err != nil || string(v) != "new" {
		t.Errorf("Get: %q, %v, want the last value committed", v, err)
	}
	must(t, e.Commit(t.Context(), keystore.Batch{Delete: [][]byte{[]byte("k"), []byte("never there")}}))
	for _, absent := range []string{"k", "kkk", "\x00", "never there"} {
		if v, err := e.Get(t.Context(), []byte(absent)); !errors.Is(err, keystore.ErrNotFound) || v != nil {
			t.Errorf("Get of the absent key %q: %q, %v, want nil and ErrNotFound", absent, v, err)
		}
	}
}

// scanOrder: a scan returns pairs in byte order of their keys, only those with the
// prefix, and not more than the limit.
func scanOrder(t *testing.T, open Opener) {
	e := fresh(t, open)
	keys := []string{"b", "a\xff\xff", "a", "a\x00", "ab", "a\x80", "c", "\x00", "\xff", "aab"}
	for _, k := range keys {
		must(t, e.Commit(t.Context(), puts(k, "value of "+k)))
	}
	must(t, e.Commit(t.Context(), keystore.Batch{Delete: [][]byte{[]byte("ab")}}))
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == "ab" })
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a\xff", "b", "absent", "\xff"} {
		want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		for limit := range len(want) + 2 {
			scanned(t, e, scan{prefix, "", limit}, want[:min(limit, len(want))])
		}
	}
}

// scanAfter: a scan continues after a key, whether the key exists or not.
func scanAfter(t *testing.T, open Opener) {
	e := fresh(t, open)
	must(t, e.Commit(t.Context(), puts("a", "x", "p", "x", "p1", "x", "p3", "x", "q", "x")))
	for after, want := range map[string][]string{
		"":         {"p", "p1", "p3"},
		"a":        {"p", "p1", "p3"},
		"p":        {"p1", "p3"},
		"p1":       {"p3"},
		"p2":       {"p3"},
		"p1\x00":   {"p3"},
		"p3":       nil,
		"q":        nil,
		"\xff\xff": nil,
	} {
		scanned(t, e, scan{"p", after, 9}, want)
		scanned(t, e, scan{"p", after, 1}, want[:min(1, len(want))])
	}
}

// A scan has the arguments of a Scan.
type scan struct {
	prefix, after string
	limit         int
}

func scanned(t *testing.T, e keystore.Engine, ask scan, want []string) {
	t.Helper()
	var after []byte
	if ask.after != "" {
		after = []byte(ask.after)
	}
	pairs, err := e.Scan(t.Context(), []byte(ask.prefix), after, ask.limit)
	must(t, err)
	var got []string
	for _, p := range pairs {
		got = append(got, string(p.Key))
		if len(p.Value) == 0 {
			t.Errorf("Scan returned %q without its value", p.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("Scan(%+v) = %q, want %q", ask, got, want)
	}
}

// copies: the engine keeps none of the caller's slices, and the caller may change the
// results.
func copies(t *testing.T, open Opener) {
	e := fresh(t, open)
	b := puts("k", "value", "l", "value")
	must(t, e.Commit(t.Context(), b))
	spoil := func(p []byte) {
		for i := range p {
			p[i] = '#'
		}
	}
	for _, p := range b.Put {
		spoil(p.Key)
		spoil(p.Value)
	}
	v, err := e.Get(t.Context(), []byte("k"))
	must(t, err)
	spoil(v)
	pairs, err := e.Scan(t.Context(), nil, nil, 9)
	must(t, err)
	for _, p := range pairs {
		spoil(p.Key)
		spoil(p.Value)
	}
	holds(t, e, "k", "value", "l", "value")
}
