package vault

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/inputtext"
)

// fullTags returns the maximum number of tags with the maximum lengths, all of one
// character.
func fullTags(char string) map[string]string {
	tags := map[string]string{}
	for n := range inputtext.MaxTags {
		tags[fmt.Sprintf("%02d", n)+strings.Repeat(char, inputtext.MaxTagKey-2)] = strings.Repeat(char, inputtext.MaxTagValue)
	}
	return tags
}

// TestTextIsStoredUnchanged: characters that are special in HTML are stored as one byte each.
func TestTextIsStoredUnchanged(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	for _, char := range []string{"a", "<", ">", "&"} {
		o := KeyOptions{Description: strings.Repeat(char, inputtext.MaxDescription), Tags: fullTags(char)}
		k := mustKey(t, c, o)
		got, err := c.DescribeKey(ctx, k.ID)
		if err != nil || got.Description != o.Description || !maps.Equal(got.Tags, o.Tags) {
			t.Errorf("CreateKey with text of %q: stored otherwise, or error %v", char, err)
		}
		r, err := v.store.Get(ctx, keyPath(k.ID))
		if err != nil || strings.Contains(string(r.Value), `\u00`) || len(r.Value) > 22<<10 {
			t.Errorf("%q: stored in %d bytes, %v", char, len(r.Value), err)
		}
	}
}

// TestOlderTextIsRead: records of earlier versions, in which they are escaped, can be read.
func TestOlderTextIsRead(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Description: "a<b"})
	err := v.store.Commit(ctx, func(tx *keystore.Tx) error {
		r, err := tx.Get(keyPath(k.ID))
		if err != nil {
			return err
		}
		old := strings.Replace(string(r.Value), "a<b", `a\u003cb`, 1)
		if old == string(r.Value) {
			t.Errorf("the record has no escaped text: %s", old)
		}
		tx.Put(keyPath(k.ID), []byte(old))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.DescribeKey(ctx, k.ID); err != nil || got.Description != "a<b" {
		t.Errorf("DescribeKey: %q, error %v", got.Description, err)
	}
}

// TestTextTooLarge: text that does not fit in a record is rejected, which is recorded.
// Accepted text leaves room for the CMK's other fields.
func TestTextTooLarge(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	if _, err := c.CreateKey(ctx, KeyOptions{Tags: fullTags(`"`)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("created with tags of quotation marks: %v", err)
	}
	k := mustKey(t, c, KeyOptions{})
	for name, value := range fullTags("\x01") {
		if err := c.TagKey(ctx, k.ID, map[string]string{name: value}); err != nil {
			if !errors.Is(err, ErrTooLarge) {
				t.Error(err)
			}
			break
		}
	}
	if r := lastRecord(t, c, OpTagKey); r.Result != audit.Failed || r.Error != "TOO_LARGE" {
		t.Errorf("the record of TagKey is %+v", r)
	}
	for n := 0; ; n++ {
		if err := c.TagKey(ctx, k.ID, map[string]string{fmt.Sprint("more ", n): strings.Repeat("x", 100)}); err != nil {
			break
		}
	}
	full := 0 // length of the longest accepted description
	for ; c.SetDescription(ctx, k.ID, strings.Repeat("x", full+1)) == nil; full++ {
	}
	if err := c.SetDescription(ctx, k.ID, strings.Repeat("x", full+1)); !errors.Is(err, ErrTooLarge) || full >= inputtext.MaxDescription {
		t.Errorf("%d bytes beside full tags: %v", full+1, err)
	}
	err := errors.Join(c.SetAlias(ctx, k.ID, strings.Repeat("a", maxAlias)), c.DisableKeys(ctx, k.ID), c.EnableKeys(ctx, k.ID),
		second(c.RotateKey(ctx, k.ID)), c.UntagKey(ctx, k.ID, "more 0"))
	if err != nil {
		t.Errorf("with full tags: %v", err)
	}
}
