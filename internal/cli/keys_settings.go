package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// A rotationRow is the JSON form of keys rotation.
type rotationRow struct {
	Days    int           `json:"days,omitempty"`
	Uses    uint64        `json:"uses,omitempty"`
	Version uint32        `json:"version"`
	Used    vault.KeyUses `json:"used"`
	Last    time.Time     `json:"last,omitzero"`
	Next    time.Time     `json:"next,omitzero"`
}

func (a *app) keysRotation() *cobra.Command {
	var r vault.Rotation
	off := false
	c := &cobra.Command{
		Use: "rotation KEY", Short: "Show or set when a key rotates by itself", Args: cobra.ExactArgs(1),
		Long: "rotation shows when the vault rotates a key by itself, or sets that: after days, after uses, or by whichever is first.\n" +
			"The vault does it while a process has it open.",
		Example: "  strongroom keys rotation invoices\n  strongroom keys rotation invoices --days 90\n  strongroom keys rotation invoices --off",
	}
	f := c.Flags()
	f.IntVar(&r.Days, "days", 0, "rotate after so many `days`, 7 to 365")
	f.Uint64Var(&r.Uses, "uses", 0, "rotate after so many `uses` of the version")
	f.BoolVar(&off, "off", false, "do not rotate by itself")
	c.RunE = a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
		set := r != (vault.Rotation{})
		if off && set {
			return usage("give --off alone")
		}
		if off || set {
			if _, err := s.Client().SetRotation(ctx, args[0], r); err != nil {
				return err
			}
		}
		st, err := s.Client().GetRotation(ctx, args[0])
		if err != nil {
			return err
		}
		row := rotationRow{st.Rotation.Days, st.Rotation.Uses, st.Version, st.Uses, st.Last, st.Next}
		return a.one(row, "every", every(st.Rotation), "version", st.Version, "protected by it", st.Uses.Protected, "processed by it", st.Uses.Processed,
			"last", st.Last, "next", st.Next)
	})
	return c
}

// every returns a rotation as text.
func every(r vault.Rotation) string {
	switch {
	case r.Days > 0 && r.Uses > 0:
		return strconv.Itoa(r.Days) + " days or " + strconv.FormatUint(r.Uses, 10) + " uses"
	case r.Days > 0:
		return strconv.Itoa(r.Days) + " days"
	case r.Uses > 0:
		return strconv.FormatUint(r.Uses, 10) + " uses"
	}
	return "never"
}

func (a *app) keysMinimumVersion() *cobra.Command {
	return a.keyCommand(&cobra.Command{
		Use: "min-version KEY VERSION", Short: "Set the oldest version that decrypts", Args: cobra.ExactArgs(2),
		Example: "  strongroom keys min-version invoices 3",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		n, err := keyVersion(args[1])
		if err != nil {
			return err
		}
		return c.SetMinimumVersion(ctx, args[0], n)
	})
}

func (a *app) keysTrim() *cobra.Command {
	return a.keyCommand(&cobra.Command{
		Use: "trim KEY VERSION", Short: "Destroy the material of a version below the minimum", Args: cobra.ExactArgs(2),
		Long: "trim destroys the material of a version for ever. The version must be below the minimum version, and must never\n" +
			"have made a ciphertext or a data key: the vault refuses every other version, with exit code 1.",
		Example: "  strongroom keys trim invoices 2",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		n, err := keyVersion(args[1])
		if err != nil {
			return err
		}
		return c.TrimKeyVersion(ctx, args[0], n)
	})
}

func keyVersion(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, usage("%q is not the number of a version: \"keys describe\" shows them", text)
	}
	return uint32(n), nil
}

func (a *app) keysBindings() *cobra.Command {
	return &cobra.Command{
		Use: "bindings KEY", Short: "List the resources that use a key", Args: cobra.ExactArgs(1),
		Long:    "bindings lists the resources that \"keys bind\" registered. A key with one cannot be disabled, archived or deleted.",
		Example: "  strongroom keys bindings invoices",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			bindings, err := s.Client().ListBindings(ctx, args[0])
			if err != nil {
				return err
			}
			p := a.columns("RESOURCE", "CREATED", "CREATOR")
			for _, b := range bindings {
				if err := p.row(b, b.Resource, b.Created, b.Creator); err != nil {
					return err
				}
			}
			return p.flush()
		}),
	}
}

func (a *app) keysBind() *cobra.Command {
	return a.keyCommand(&cobra.Command{
		Use: "bind KEY RESOURCE", Short: "Register a resource that uses a key", Args: cobra.ExactArgs(2),
		Example: "  strongroom keys bind invoices database/invoices",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		return c.BindResource(ctx, args[0], args[1])
	})
}

func (a *app) keysUnbind() *cobra.Command {
	return a.keyCommand(&cobra.Command{
		Use: "unbind KEY RESOURCE", Short: "End the registration of a resource", Args: cobra.ExactArgs(2),
		Example: "  strongroom keys unbind invoices database/invoices",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		return c.UnbindResource(ctx, args[0], args[1])
	})
}
