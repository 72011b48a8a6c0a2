package cli

import (
	"context"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

func (a *app) approveCommand() *cobra.Command {
	var approval vault.Approval
	c := &cobra.Command{
		Use: "approve OPERATION [KEY]", Short: "Approve an operation that another principal is to do", Args: cobra.RangeArgs(1, 2),
		Long: `approve consents to one operation of another principal, if the policies demand approvals of it (@approvals). "owner"
of the configuration file is the principal of this command. It must not be the principal that does the operation.`,
		Example: "  strongroom approve ScheduleKeyDeletion invoices --subject 30 --config second-officer.json",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			approval.Operation = vault.Operation(args[0])
			if len(args) == 2 {
				approval.Key = args[1]
			}
			return s.Client().Approve(ctx, approval)
		}),
	}
	c.Flags().StringVar(&approval.Subject, "subject", "", "the `subject`, which the error of the operation names: such as the days of ScheduleKeyDeletion, the driver of MoveKey, a protector's id, or the digest of \"policies list\" for PutPolicy")
	return c
}

func (a *app) approvalsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "approvals", Short: "List and withdraw approvals",
		Long: "The commands below approvals work on the approvals that \"approve\" and programs gave, and that no operation has used\nup yet.",
	}
	c.AddCommand(a.approvalsList(), a.approvalsWithdraw())
	return c
}

func (a *app) approvalsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the approvals that are pending", Args: cobra.NoArgs,
		Example: "  strongroom approvals list",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			all, err := s.Client().ListApprovals(ctx)
			if err != nil {
				return err
			}
			p := a.columns("ID", "PRINCIPAL", "OPERATION", "KEY", "SUBJECT", "TIME", "UNTIL")
			for _, one := range all {
				if err := p.row(one, one.ID, one.Principal, one.Operation, one.Key, one.Subject, one.Time, one.Until); err != nil {
					return err
				}
			}
			return p.flush()
		}),
	}
}

func (a *app) approvalsWithdraw() *cobra.Command {
	return &cobra.Command{
		Use: "withdraw ID", Short: "Withdraw an approval", Args: cobra.ExactArgs(1),
		Long: "withdraw withdraws an approval that \"approvals list\" shows. To withdraw an approval of another principal, the\n" +
			"principal of this command needs the permission for PutPolicy too.",
		Example: "  strongroom approvals withdraw $(strongroom approvals list -o json | jq -r .id) --config second-officer.json",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			return s.Client().WithdrawApproval(ctx, args[0])
		}),
	}
}
