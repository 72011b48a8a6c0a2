package vault

import (
	"context"
	"errors"
	"maps"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// mayOnly is an Authorizer that restricts all principals except the owner to these
// operations.
type mayOnly map[Operation]bool

func (m mayOnly) Authorize(_ context.Context, r Request) (Decision, error) {
	return Decision{Allow: r.Principal == DefaultOwner || m[r.Operation], Rule: "may " + string(r.Operation)}, nil
}

// authorizerFunc is an Authorizer that is a function.
type authorizerFunc func(Request) (Decision, error)

func (f authorizerFunc) Authorize(_ context.Context, r Request) (Decision, error) { return f(r) }

// allowEveryone allows everything.
func allowEveryone(Request) (Decision, error) { return Decision{Allow: true, Rule: "test"}, nil }

// oneApprovalFor allows everything, and demands one approval for op.
func oneApprovalFor(op Operation) authorizerFunc {
	return func(r Request) (Decision, error) {
		d := Decision{Allow: true, Rule: "test"}
		if r.Operation == op {
			d.Approvals = 1
		}
		return d, nil
	}
}

// TestCreateKeyNeedsNamingPermissions: a principal that may create keys, but not name or tag
// them, cannot do so through CreateKey.
func TestCreateKeyNeedsNamingPermissions(t *testing.T) {
	cfg, may := testConfig(), mayOnly{OpCreateKey: true}
	cfg.Authorizer = may
	v, _ := newTestVault(t, cfg)
	bob, ctx := v.As("bob"), t.Context()
	named, tagged := KeyOptions{Alias: "payroll"}, KeyOptions{Tags: map[string]string{"team": "pay"}}
	for op, o := range map[Operation]KeyOptions{OpSetAlias: named, OpTagKey: tagged} {
		if _, err := bob.CreateKey(ctx, o); !errors.Is(err, ErrDenied) {
			t.Errorf("CreateKey without permission for %s: %v, want ErrDenied", op, err)
		}
		r := lastRecord(t, v.As(DefaultOwner), OpCreateKey)
		if r.Result != audit.Refused || r.Decision != "DENY" || r.Rule != "may "+string(op) || r.Detail["alias"] != o.Alias {
			t.Errorf("the record of the denied CreateKey is %+v", r)
		}
		may[op] = true
		mustKey(t, bob, o)
		if r = lastRecord(t, v.As(DefaultOwner), OpCreateKey); r.Rule != "may CreateKey" || r.Detail["alias"] != o.Alias {
			t.Errorf("the record of the allowed CreateKey is %+v", r)
		}
	}
	mustKey(t, bob, KeyOptions{})
}

// TestAuthorizerSeesRequest: the request has the alias, the tags and the driver
// that are asked for.
func TestAuthorizerSeesRequest(t *testing.T) {
	a, cfg := &asked{}, testConfig()
	cfg.Authorizer, cfg.Drivers = a, map[string]driver.Driver{"hsm": drivertest.NewMemory()}
	v, _ := newTestVault(t, cfg)
	c, ctx, tags := v.As("p"), t.Context(), map[string]string{"team": "pay"}
	k := mustKey(t, c, KeyOptions{Alias: "mine", Tags: tags})
	if r := a.last; r.Operation != OpTagKey || r.NewAlias != "mine" || !maps.Equal(r.NewTags, tags) || r.Driver != softDriver || r.Alias != "" || r.Tags != nil {
		t.Errorf("the last request of CreateKey is %+v", r)
	}
	for op, row := range map[Operation]struct {
		do   func() error
		want Request
	}{
		OpSetAlias: {func() error { return c.SetAlias(ctx, k.ID, "theirs") }, Request{NewAlias: "theirs"}},
		OpTagKey:   {func() error { return c.TagKey(ctx, k.ID, map[string]string{"a": "b"}) }, Request{NewTags: map[string]string{"a": "b"}}},
		OpMoveKey:  {func() error { return second(c.MoveKey(ctx, k.ID, "hsm")) }, Request{Driver: "hsm"}},
	} {
		if err := row.do(); err != nil {
			t.Fatal(err)
		}
		r := a.last
		if r.Operation != op || r.Key != k.ID || r.NewAlias != row.want.NewAlias || !maps.Equal(r.NewTags, row.want.NewTags) || r.Driver != row.want.Driver {
			t.Errorf("%s asked %+v, want %+v", op, r, row.want)
		}
	}
}
