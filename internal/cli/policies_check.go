package cli

import (
	"context"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// A checked is the JSON form of policies check.
type checked struct {
	Allow bool   `json:"allow"`
	Rule  string `json:"rule,omitempty"`
	Error string `json:"error,omitempty"`
}

func (a *app) policiesCheck() *cobra.Command {
	var pairs []string
	c := &cobra.Command{
		Use: "check PRINCIPAL OPERATION [KEY]", Short: "Show whether a principal could do an operation now", Args: cobra.RangeArgs(2, 3),
		Long: "check tries an operation of another principal without doing it: it asks the policies, as \"explain\" does, and looks at\n" +
			"the key's usage, origin and state, and at approvals. It exits as the operation would: with 4 if it is denied, with 3\n" +
			"for the state of the key.",
		Example: "  strongroom policies check shop Encrypt invoices",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			ec, err := parsePairs(pairs)
			if err != nil {
				return err
			}
			key := ""
			if len(args) == 3 {
				key = args[2]
			}
			r, err := s.Client().DryRunFor(ctx, vault.Principal(args[0]), vault.Operation(args[1]), key, ec)
			if err != nil {
				return err
			}
			out := checked{Allow: r.Allowed, Rule: r.Rule}
			if r.Err != nil {
				out.Error = r.Err.Error()
			}
			if err := a.one(out, "allowed", r.Allowed, "rule", r.Rule); err != nil {
				return err
			}
			return r.Err
		}),
	}
	c.Flags().StringArrayVarP(&pairs, "context", "c", nil, "a pair of the encryption context, `name=value`; may be repeated")
	return c
}
