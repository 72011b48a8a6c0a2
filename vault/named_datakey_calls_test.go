package vault

import (
	"context"
	"crypto/rand"
	"errors"
)

// dataKeyFailingCalls returns the calls of failingCalls that are about named data keys. The
// fixture has a data key "dk-" of each CMK that encrypts.
func dataKeyFailingCalls() []failingCall {
	type x = *failingFixture
	big := make([]byte, 5000)
	name := func() DataKeyOptions { return DataKeyOptions{Name: "n" + rand.Text()} }
	on := func(op Operation) func(context.Context, Client, x, string) error {
		return func(ctx context.Context, c Client, _ x, key string) error {
			return dataKeyActs[op](ctx, c, "dk-"+key)
		}
	}
	return []failingCall{
		{"CreateDataKey", OpCreateDataKey, "sym",
			func(ctx context.Context, c Client, _ x, key string) error {
				return second(c.CreateDataKey(ctx, key, 32, name()))
			},
			func(ctx context.Context, c Client, _ x) error {
				return second(c.CreateDataKey(ctx, "sym", 32, DataKeyOptions{Name: "dk-sym"}))
			}},
		{"ImportDataKey", OpImportDataKey, "sym",
			func(ctx context.Context, c Client, _ x, key string) error {
				return second(c.ImportDataKey(ctx, key, make([]byte, 32), name()))
			},
			func(ctx context.Context, c Client, _ x) error {
				return second(c.ImportDataKey(ctx, "sym", big, name()))
			}},
		{"ImportDataKeyCiphertext", OpImportDataKeyCiphertext, "sym",
			func(ctx context.Context, c Client, x x, key string) error {
				return second(c.ImportDataKeyCiphertext(ctx, x.ct[key], name()))
			},
			func(ctx context.Context, c Client, _ x) error {
				return second(c.ImportDataKeyCiphertext(ctx, big, name()))
			}},
		{"DescribeDataKeys", OpDescribeDataKey, "sym", on(OpDescribeDataKey),
			func(ctx context.Context, c Client, _ x) error {
				return second(c.DescribeDataKeys(ctx, make([]string, 101)...))
			}},
		{"ListDataKeys", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error {
				return drain(c.ListDataKeys(ctx, DataKeyFilter{}))
			}, nil},
		{"ListDataKeysPage", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error {
				return second(c.ListDataKeysPage(ctx, DataKeyFilter{}, PageRequest{}))
			},
			func(ctx context.Context, c Client, _ x) error {
				return second(c.ListDataKeysPage(ctx, DataKeyFilter{}, PageRequest{Limit: -1}))
			}},
		{"SetDataKeyName", OpSetDataKeyName, "sym",
			func(ctx context.Context, c Client, _ x, key string) error {
				return c.SetDataKeyName(ctx, "dk-"+key, "dk-"+key)
			},
			func(ctx context.Context, c Client, _ x) error { return c.SetDataKeyName(ctx, "dk-sym", "dk-ext") }},
		{"SetDataKeyDescription", OpSetDataKeyDescription, "sym", on(OpSetDataKeyDescription),
			func(ctx context.Context, c Client, _ x) error {
				return c.SetDataKeyDescription(ctx, "dk-sym", string(big))
			}},
		{"EnableDataKeys", OpEnableDataKey, "sym", on(OpEnableDataKey),
			func(ctx context.Context, c Client, _ x) error { return c.EnableDataKeys(ctx, make([]string, 101)...) }},
		{"DisableDataKeys", OpDisableDataKey, "sym", on(OpDisableDataKey),
			func(ctx context.Context, c Client, _ x) error { return c.DisableDataKeys(ctx, make([]string, 101)...) }},
		{"ScheduleDataKeyDeletion", OpScheduleDataKeyDeletion, "sym", on(OpScheduleDataKeyDeletion),
			func(ctx context.Context, c Client, _ x) error {
				return second(c.ScheduleDataKeyDeletion(ctx, "dk-sym", MaxDeletionDays+1))
			}},
		{"CancelDataKeyDeletion", OpCancelDataKeyDeletion, "sym", on(OpCancelDataKeyDeletion), nil},
		{"DataKeyCiphertext", OpGetDataKeyCiphertext, "sym", on(OpGetDataKeyCiphertext), nil},
		{"OpenNamedDataKey", OpOpenNamedDataKey, "sym", on(OpOpenNamedDataKey), nil},
		{"OpenNamedDataKeyTo", OpOpenNamedDataKeyTo, "sym", on(OpOpenNamedDataKeyTo),
			func(ctx context.Context, c Client, _ x) error {
				return second(c.OpenNamedDataKeyTo(ctx, Recipient{}, "dk-sym"))
			}},
		{"ReEncryptDataKey", OpReEncryptFrom, "sym", on(OpReEncryptFrom), nil},
	}
}

// dataKeyStressCalls returns the calls of stressCalls that are about named data keys. Each has
// a data key of its own, but for those that list all.
func dataKeyStressCalls() []stressCall {
	hot := (*stressFixture).hot
	own := func(act func(context.Context, Client, string) error) func(context.Context, *stressFixture) error {
		return func(ctx context.Context, x *stressFixture) error {
			k, err := x.Client.CreateDataKey(ctx, x.symmetric.key.ID, 32, DataKeyOptions{Name: "s" + rand.Text()})
			if err != nil {
				return err
			}
			return act(ctx, x.Client, k.ID)
		}
	}
	after := func(op Operation, before ...Operation) func(context.Context, *stressFixture) error {
		return own(func(ctx context.Context, c Client, id string) error {
			for _, op := range append(before, op) {
				if err := dataKeyActs[op](ctx, c, id); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return []stressCall{
		{"CreateDataKey", false, callOn(OpCreateDataKey, hot)},
		{"ImportDataKey", false, callOn(OpImportDataKey, hot)},
		{"ImportDataKeyCiphertext", false, callOn(OpImportDataKeyCiphertext, hot)},
		{"DescribeDataKeys", false, after(OpDescribeDataKey)},
		{"ListDataKeys", true, func(ctx context.Context, x *stressFixture) error {
			return drain(x.Client.ListDataKeys(ctx, DataKeyFilter{}))
		}},
		{"ListDataKeysPage", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.ListDataKeysPage(ctx, DataKeyFilter{}, PageRequest{}))
		}},
		{"SetDataKeyName", true, after(OpSetDataKeyName)},
		{"SetDataKeyDescription", true, after(OpSetDataKeyDescription)},
		{"EnableDataKeys", true, after(OpEnableDataKey, OpDisableDataKey)},
		{"DisableDataKeys", true, after(OpDisableDataKey)},
		{"ScheduleDataKeyDeletion", true, after(OpScheduleDataKeyDeletion, OpDisableDataKey)},
		{"CancelDataKeyDeletion", true, after(OpCancelDataKeyDeletion, OpDisableDataKey, OpScheduleDataKeyDeletion)},
		{"DataKeyCiphertext", false, after(OpGetDataKeyCiphertext)},
		{"OpenNamedDataKey", false, after(OpOpenNamedDataKey)},
		{"OpenNamedDataKeyTo", true, after(OpOpenNamedDataKeyTo)},
		{"ReEncryptDataKey", true, after(OpReEncryptFrom)},
	}
}

// makeDataKeys is the part of a session that makes, disables and removes named data keys.
func (s *session) makeDataKeys() error {
	k, err := s.client.CreateDataKey(s.ctx, "busy", 32, DataKeyOptions{Name: "n" + rand.Text()})
	if err != nil {
		return err
	}
	s.report("datakey " + k.ID)
	off, err := s.client.ImportDataKey(s.ctx, "busy", make([]byte, 32), DataKeyOptions{Name: "n" + rand.Text()})
	if err != nil {
		return err
	}
	if err := s.client.DisableDataKeys(s.ctx, off.ID); err != nil {
		return err
	}
	s.report("disabled-datakey " + off.ID)
	if _, err := s.client.ReEncryptDataKey(s.ctx, k.ID); err != nil {
		return err
	}
	opened, err := s.client.OpenNamedDataKey(s.ctx, k.Name)
	opened.Destroy()
	return err
}

// dataKeyFault returns what is wrong with a named data key that was acknowledged as enabled or
// disabled.
func dataKeyFault(ctx context.Context, c Client, id string, disabled bool) error {
	all, err := c.DescribeDataKeys(ctx, id)
	if err != nil {
		return err
	}
	byName, err := c.DescribeDataKeys(ctx, all[0].Name)
	if err != nil || byName[0].ID != id {
		return errors.Join(errors.New("its name is of another data key"), err)
	}
	k, err := c.OpenNamedDataKey(ctx, id)
	k.Destroy()
	if disabled && errors.Is(err, ErrDataKeyState) {
		return nil
	}
	if disabled && err == nil {
		return errors.New("it is not disabled")
	}
	return err
}
