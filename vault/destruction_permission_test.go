package vault

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/poll"
)

// denyingPolicies is an engine whose documents name one denied operation, or none.
type denyingPolicies struct{ denied Operation }

func (denyingPolicies) Compile(document []byte) (Policies, error) {
	return denyingPolicies{Operation(bytes.TrimSpace(document))}, nil
}

func (p denyingPolicies) Authorize(_ context.Context, r Request) (Decision, error) {
	return Decision{Allow: r.Operation != p.denied, Rule: "any but " + string(p.denied)}, nil
}
func (denyingPolicies) Principals() []Principal     { return nil }
func (denyingPolicies) Explain(Request) Explanation { return Explanation{} }

// TestDestructionOutlastsItsPermission: a destruction that began is finished and recorded, also if
// new policies deny it meanwhile.
func TestDestructionOutlastsItsPermission(t *testing.T) {
	device := drivertest.NewFaulty(drivertest.NewMemory())
	t.Cleanup(func() { device.Close() })
	cfg := testConfig()
	cfg.Drivers, cfg.Policies = map[string]driver.Driver{"hsm": device}, denyingPolicies{}
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	for op, prepare := range map[Operation]func() func(Client) error{
		OpDeleteImportedKeyMaterial: func() func(Client) error {
			k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Driver: "hsm"})
			mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(7)).material())
			return func(c Client) error { return c.DeleteImportedKeyMaterial(ctx, k.ID) }
		},
		OpTrimKeyVersion: func() func(Client) error {
			k := mustKey(t, c, KeyOptions{Driver: "hsm"})
			must(t, second(c.RotateKey(ctx, k.ID)))
			must(t, c.SetMinimumVersion(ctx, k.ID, 2))
			return func(c Client) error { return c.TrimKeyVersion(ctx, k.ID, 1) }
		},
	} {
		must(t, second(c.PutPolicy(ctx, nil)))
		destroy := prepare()
		narrowed, _ := mustNarrow(t, c, Grant{Uses: 1})
		block := make(chan struct{})
		device.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Nth: 1, Block: block})
		var err error
		var destroyed sync.WaitGroup
		destroyed.Go(func() { err = destroy(narrowed) })
		poll.Until(t, "the device is asked", func() bool { return device.Waiting() > 0 })
		changed := second(c.PutPolicy(ctx, []byte(op)))
		close(block)
		destroyed.Wait()
		device.Clear()
		must(t, changed)
		if err != nil {
			t.Errorf("%s, which is denied while the device works: %v", op, err)
		}
		for _, path := range v.store.Paths(intents) {
			if in, err := v.intentAt(ctx, path); err != nil || in.Operation == string(op) {
				t.Errorf("%s left the intent %+v, %v", op, in, err)
			}
		}
		if r := lastRecord(t, c, op); r.Phase != audit.Outcome || r.Result != audit.OK {
			t.Errorf("the last record of %s is %+v, want its outcome", op, r)
		}
	}
}
