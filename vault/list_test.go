package vault

import (
	"errors"
	"slices"
	"testing"

	"strongroom.example/audit"
)

// byTeam allows a principal to describe the CMKs of its team, and to
// do everything else. It fails for CMKs of the team "broken".
func byTeam(r Request) (Decision, error) {
	if r.Operation != OpDescribeKey || r.Principal == DefaultOwner {
		return Decision{Allow: true}, nil
	}
	if r.Tags["team"] == "broken" {
		return Decision{}, errors.New("the policy server is away")
	}
	return Decision{Allow: r.Tags["team"] == string(r.Principal)}, nil
}

// TestListKeysYieldsWhatMayBeDescribed: a listing omits the CMKs for which DescribeKey is
// denied, whatever the filter, and its one record has their number.
func TestListKeysYieldsWhatMayBeDescribed(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(byTeam)
	v, _ := newTestVault(t, cfg)
	owner, red, ctx := v.As(DefaultOwner), v.As("red"), t.Context()
	mine := mustKey(t, owner, KeyOptions{Alias: "mine", Tags: map[string]string{"team": "red"}})
	theirs := mustKey(t, owner, KeyOptions{Alias: "theirs", Tags: map[string]string{"team": "blue"}})
	listed := func(c Client, f KeyFilter) (ids []string) {
		t.Helper()
		for k, err := range c.ListKeys(ctx, f) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, k.ID)
		}
		return ids
	}
	for name, row := range map[string]struct {
		filter   KeyFilter
		want     []string
		withheld string
	}{
		"all":          {KeyFilter{}, []string{mine.ID}, "1"},
		"their alias":  {KeyFilter{Alias: "theirs"}, nil, "1"},
		"their tag":    {KeyFilter{Tags: map[string]string{"team": "blue"}}, nil, "1"},
		"my tag":       {KeyFilter{Tags: map[string]string{"team": "red"}}, []string{mine.ID}, ""},
		"none's alias": {KeyFilter{Alias: "none"}, nil, ""},
	} {
		before := v.store.LogState().Size
		if got := listed(red, row.filter); !slices.Equal(got, row.want) {
			t.Errorf("%s: ListKeys yielded %q, want %q", name, got, row.want)
		}
		if n := v.store.LogState().Size - before; n != 1 {
			t.Errorf("%s: ListKeys left %d records, want 1", name, n)
		}
		if r := lastRecord(t, owner, OpListKeys); r.Result != audit.OK || r.Decision != "ALLOW" || r.Detail["withheld"] != row.withheld {
			t.Errorf("ListKeys, %s: recorded as %s %s with %q withheld, want %q", name, r.Decision, r.Result, r.Detail["withheld"], row.withheld)
		}
	}
	if got := listed(owner, KeyFilter{}); len(got) != 2 || !slices.Contains(got, theirs.ID) {
		t.Errorf("ListKeys by the owner yielded %q, want both keys", got)
	}
	mustKey(t, owner, KeyOptions{Tags: map[string]string{"team": "broken"}})
	if err := drain(red.ListKeys(ctx, KeyFilter{})); !errors.Is(err, ErrDenied) {
		t.Errorf("ListKeys where the Authorizer fails: %v, want ErrDenied", err)
	}
}
