package vault

import (
	"errors"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// TestApprovalBindsArguments: an approval is for the arguments that it names. One without a
// subject counts only if the decision has AnySubject.
func TestApprovalBindsArguments(t *testing.T) {
	anySubject := false
	demanded := map[Operation]bool{OpCreateKey: true, OpSetAlias: true, OpMoveKey: true, OpScheduleKeyDeletion: true, OpSetMinimumVersion: true,
		OpBindResource: true, OpDecryptTo: true, OpCreateDataKey: true, OpSetDataKeyName: true, OpScheduleDataKeyDeletion: true}
	cfg := testConfig()
	cfg.Drivers = map[string]driver.Driver{"memory": drivertest.NewMemory()}
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		d := Decision{Allow: true, Rule: "test", AnySubject: anySubject}
		if r.Principal == "alice" && demanded[r.Operation] {
			d.Approvals = 1
		}
		return d, nil
	})
	v, _ := newTestVault(t, cfg)
	c, bob, ctx := v.As("alice"), v.As("bob"), t.Context()
	key := mustKey(t, bob, KeyOptions{})
	ct, err := bob.Encrypt(ctx, key.ID, []byte("x"), nil)
	must(t, err)
	to := recipient()
	data := mustDataKey(t, bob, key.ID, "data")
	must(t, bob.DisableDataKeys(ctx, data.ID))
	off := mustKey(t, bob, KeyOptions{})
	must(t, bob.DisableKeys(ctx, off.ID))
	for _, row := range []struct {
		a     Approval
		wrong string
		do    func() error
	}{
		{Approval{OpCreateKey, "", "soft"}, "memory", func() error { return second(c.CreateKey(ctx, KeyOptions{Driver: softDriver})) }},
		{Approval{OpSetAlias, key.ID, "a/b"}, "a", func() error { return c.SetAlias(ctx, key.ID, "a/b") }},
		{Approval{OpSetMinimumVersion, key.ID, "1"}, "2", func() error { return c.SetMinimumVersion(ctx, key.ID, 1) }},
		{Approval{OpBindResource, key.ID, "db 1"}, "db", func() error { return c.BindResource(ctx, key.ID, "db 1") }},
		{Approval{OpDecryptTo, key.ID, to.Fingerprint()}, strings.Repeat("0", 64), func() error { return second(c.DecryptTo(ctx, to, ct, nil)) }},
		{Approval{OpCreateDataKey, key.ID, "new"}, "newer", func() error { return second(c.CreateDataKey(ctx, key.ID, 32, DataKeyOptions{Name: "new"})) }},
		{Approval{OpSetDataKeyName, key.ID, data.ID + " renamed"}, data.ID, func() error { return c.SetDataKeyName(ctx, data.ID, "renamed") }},
		{Approval{OpScheduleDataKeyDeletion, key.ID, data.ID + " 30"}, data.ID + " 7", func() error { return second(c.ScheduleDataKeyDeletion(ctx, data.ID, 30)) }},
		{Approval{OpMoveKey, key.ID, "memory"}, "soft", func() error { return second(c.MoveKey(ctx, key.ID, "memory")) }},
		{Approval{OpScheduleKeyDeletion, off.ID, "30"}, "7", func() error { return second(c.ScheduleKeyDeletion(ctx, off.ID, 30)) }},
	} {
		anySubject = false
		for _, subject := range []string{"", row.wrong} {
			must(t, bob.Approve(ctx, Approval{row.a.Operation, row.a.Key, subject}))
			if err := row.do(); !errors.Is(err, ErrApproval) || !strings.Contains(err.Error(), row.a.Subject) {
				t.Errorf("%s with an approval of %q: %v, want ErrApproval for %q", row.a.Operation, subject, err, row.a.Subject)
			}
		}
		must(t, bob.Approve(ctx, row.a))
		if err := row.do(); err != nil {
			t.Errorf("%s with its approval: %v", row.a.Operation, err)
		}
	}
	anySubject = true
	must(t, c.SetAlias(ctx, key.ID, "free"))
	if err := c.SetAlias(ctx, key.ID, "again"); !errors.Is(err, ErrApproval) {
		t.Errorf("an approval of any subject, used twice: %v, want ErrApproval", err)
	}
}
