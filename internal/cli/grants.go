package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

func (a *app) grantsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "grants", Short: "Make, list and revoke the grants of programs",
		Long: "A program limits its own access by a grant, which it makes itself or gets from the commands below grants. These show\n" +
			"and end the grants of all principals.",
	}
	c.AddCommand(a.grantsCreate(), a.grantsList(), a.grantsRevoke())
	return c
}

func (a *app) grantsCreate() *cobra.Command {
	var g vault.Grant
	var operations, pairs []string
	var until string
	c := &cobra.Command{
		Use: "create", Short: "Make a grant", Args: cobra.NoArgs,
		Long: "create makes a grant for the principal of this command (\"owner\" of the configuration file), and prints its id. A\n" +
			"program of that principal that gives the id to Client.WithGrant can do no more than the grant allows.",
		Example: "  strongroom grants create --key invoices --operation Encrypt --operation Decrypt --until 24h",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) (err error) {
			if g.Context, err = parsePairs(pairs); err != nil {
				return err
			}
			if g.Until, err = parseTime(until, true); err != nil {
				return err
			}
			for _, op := range operations {
				g.Operations = append(g.Operations, vault.Operation(op))
			}
			_, made, err := s.Client().Narrow(ctx, g)
			if err != nil {
				return err
			}
			return a.one(made, "id", made.ID, "principal", made.Principal, "operations", list(made.Operations), "keys", list(made.Keys),
				"context", map[string]string(made.Context), "uses", usesText(made), "until", made.Until, "created", made.Created)
		}),
	}
	f := c.Flags()
	f.StringArrayVar(&g.Keys, "key", nil, "a `key` that can be used, and no other; may be repeated")
	f.StringArrayVar(&operations, "operation", nil, "an `operation` that is allowed, such as Decrypt, and no other; may be repeated")
	f.StringArrayVarP(&pairs, "context", "c", nil, "a pair that the encryption context must contain, `name=value`; may be repeated")
	f.Uint64Var(&g.Uses, "uses", 0, "how many `operations` may succeed")
	f.StringVar(&until, "until", "", "the `time` at which the grant ends: 2026-12-31, 2026-12-31T12:00:00Z, or 36h from now")
	return c
}

// usesText returns how often a grant was used and may be used, or "".
func usesText(g vault.Grant) string {
	if g.Uses == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d", g.Used, g.Uses)
}

// A grantRow is the JSON form of a grant.
type grantRow struct {
	vault.Grant
	Used uint64 `json:"used,omitempty"`
}

func (a *app) grantsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the grants that have not ended", Args: cobra.NoArgs,
		Example: "  strongroom grants list",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			grants, err := s.Client().ListGrants(ctx)
			if err != nil {
				return err
			}
			p := a.columns("ID", "PRINCIPAL", "PARENT", "OPERATIONS", "KEYS", "CONTEXT", "USES", "UNTIL", "CREATED")
			for _, g := range grants {
				if err := p.row(grantRow{g, g.Used}, g.ID, g.Principal, g.Parent, list(g.Operations), list(g.Keys), map[string]string(g.Context), usesText(g), g.Until, g.Created); err != nil {
					return err
				}
			}
			return p.flush()
		}),
	}
}

// list returns the values of a limit; none means that there is no limit.
func list[T any](values []T) string {
	if len(values) == 0 {
		return "all"
	}
	text := fmt.Sprint(values)
	return text[1 : len(text)-1]
}

func (a *app) grantsRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a grant and all grants below it", Args: cobra.ExactArgs(1),
		Example: "  strongroom grants revoke $(strongroom grants list -o json | jq -r .id)",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			return s.Client().RevokeGrant(ctx, args[0])
		}),
	}
}
