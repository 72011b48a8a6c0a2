package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/doctor"
	"strongroom.example/internal/cli/session"
)

func (a *app) doctorCommand() *cobra.Command {
	confirm := false
	c := &cobra.Command{
		Use: "doctor", Short: "Look for what makes vaults fail, and say what to do", Args: cobra.NoArgs,
		Long: "doctor looks at locked memory, swap, core dumps, the disk, owners and modes; at each device, with its self-test; and,\n" +
			"if the vault opens, at its stored data, clock, protectors, keys, unfinished operations, exports and backups. It\n" +
			"verifies everything that is stored, which takes time, and does an operation with each enabled key in a device, at most\n" +
			"100 for each, whose result it discards. Of a rotated key it also tries the oldest version that decrypts, which leaves\n" +
			"the record of a failed Decrypt. It exits with 7 if something needs attention.",
		Example: "  strongroom doctor\n  strongroom doctor -o json | jq -r 'select(.level == \"fail\").text'",
		RunE: func(c *cobra.Command, _ []string) error {
			settings, err := a.settings()
			if err != nil {
				return err
			}
			list := doctor.Machine(settings.Directory)
			var broken []string
			for _, name := range slices.Sorted(maps.Keys(settings.Devices)) {
				found := doctor.Device(c.Context(), name, settings.Devices[name])
				if slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Level == doctor.Fail }) {
					broken = append(broken, name)
				}
				list = append(list, found...)
			}
			found, err := a.examine(c.Context(), settings, broken, confirm)
			return errors.Join(err, a.printFindings(append(list, found...)))
		},
	}
	c.Flags().BoolVar(&confirm, "confirm-time", false, "confirm that the time of day is right")
	return c
}

// examine looks at the vault without the devices that are broken.
func (a *app) examine(ctx context.Context, settings session.Settings, broken []string, confirm bool) (list []doctor.Finding, err error) {
	if settings.Directory == "" {
		return nil, nil
	}
	o := a.options(nil)
	o.Skip = append(broken, a.skip...)
	s, err := session.New(ctx, settings, o)
	if err == nil {
		err = s.Open(ctx)
	}
	if err != nil {
		return []doctor.Finding{doctor.Unopened(err)}, errors.Join(ctx.Err(), s.Close())
	}
	if confirm {
		err = s.Client().ConfirmTime(ctx)
	}
	list = doctor.Vault(ctx, s, time.Now())
	return list, errors.Join(err, ctx.Err(), s.Close())
}

// printFindings prints findings. It returns errAttention if one needs action.
func (a *app) printFindings(list []doctor.Finding) error {
	needed := false
	for _, f := range list {
		needed = needed || f.NeedsAction()
		if a.format == formatJSON {
			if err := a.one(f); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stdout, "%-4s  %-14s  %s\n", f.Level, f.Area, cell(f.Text))
		if f.Remedy != "" {
			fmt.Fprintf(a.stdout, "      %-14s  > %s\n", "", f.Remedy)
		}
	}
	if needed {
		return errAttention
	}
	return nil
}
