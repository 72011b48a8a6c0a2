package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

func (a *app) policiesCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "policies", Short: "Show, replace and explain the policies that decide who may do what",
		Long: `The commands below policies work on the policies of the vault, in the language Cedar. Before the first "policies
put" the owner may do everything. Afterwards an operation that no policy permits is denied, to the owner too. If the
policies deny everything to every principal, "--ignore-policies policies put" replaces them.`,
	}
	c.AddCommand(a.policiesList(), a.policiesShow(), a.policiesPut(), a.policiesRestore(), a.policiesExplain(), a.policiesCheck(), a.policiesSchema())
	return c
}

func (a *app) policiesList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the versions of the policies", Args: cobra.NoArgs,
		Long:    "list lists the last 100 versions, the oldest first. The last one is in force.",
		Example: "  strongroom policies list",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			versions, err := s.Client().PolicyVersions(ctx)
			if err != nil {
				return err
			}
			return a.printPolicyVersions(versions...)
		}),
	}
}

func (a *app) printPolicyVersions(versions ...vault.PolicyVersion) error {
	p := a.columns("VERSION", "TIME", "PRINCIPAL", "SIZE", "DIGEST")
	for _, v := range versions {
		if err := p.row(v, v.Number, v.Time, v.Principal, v.Size, v.Digest); err != nil {
			return err
		}
	}
	return p.flush()
}

// A policyDocument is the JSON form of policies show.
type policyDocument struct {
	vault.PolicyVersion
	Cedar  string                       `json:"cedar"`
	Groups map[string][]vault.Principal `json:"groups,omitempty"`
}

func (a *app) policiesShow() *cobra.Command {
	groups := false
	c := &cobra.Command{
		Use: "show [VERSION]", Short: "Write the policies", Args: cobra.MaximumNArgs(1),
		Long:    "show writes the text of the policies in force, or of another version: what \"policies put\" reads.",
		Example: "  strongroom policies show > policies.cedar\n  strongroom policies show --groups > groups.json",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			number, err := versionNumber(args)
			if err != nil {
				return err
			}
			set, v, err := policy.Get(ctx, s.Client(), number)
			if err != nil {
				return err
			}
			if a.format == formatJSON {
				return a.one(policyDocument{v, set.Cedar, set.Groups})
			}
			text := []byte(set.Cedar)
			if groups {
				if text, err = json.MarshalIndent(set.Groups, "", "  "); err != nil {
					return err
				}
				text = append(text, '\n')
			}
			return a.writeOutput(ctx, "", text, false)
		}),
	}
	c.Flags().BoolVar(&groups, "groups", false, "write the groups in place of the policies")
	return c
}

// versionNumber returns the argument that is a version's number; 0 if there is none.
func versionNumber(args []string) (uint64, error) {
	if len(args) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil || n == 0 {
		return 0, usage("%q is not the number of a version: \"policies list\" shows them", args[0])
	}
	return n, nil
}

func (a *app) policiesPut() *cobra.Command {
	groups, check := "", false
	c := &cobra.Command{
		Use: "put FILE", Short: "Replace the policies", Args: cobra.ExactArgs(1),
		Long: `put makes the policies in a file those of the vault, as a new version; - is the standard input. The groups are a JSON
object of lists of principals; without --groups those in force remain. A fault is reported with its line and column, and
policies that let no principal change them again are refused.`,
		Example: "  strongroom policies put policies.cedar --groups groups.json\n  strongroom policies put policies.cedar --check",
	}
	c.Flags().StringVar(&groups, "groups", "", "the `file` of the groups")
	c.Flags().BoolVar(&check, "check", false, "only look for faults, and print the digest that an approval names; with --groups it needs no vault and prints none")
	put := a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
		set, err := a.readPolicies(ctx, args[0], groups)
		if err != nil {
			return err
		}
		if groups == "" {
			old, _, err := policy.Get(ctx, s.Client(), 0)
			if err != nil && !errors.Is(err, vault.ErrNotFound) {
				return fmt.Errorf("the groups in force: %w", err)
			}
			set.Groups = old.Groups
		}
		if check {
			if err := checkPolicies(set); err != nil {
				return err
			}
			digest := s.Vault.PolicyDigest(set.Encode())
			return a.one(map[string]string{"digest": digest}, "digest", digest)
		}
		v, err := policy.Put(ctx, s.Client(), set)
		if err != nil {
			return err
		}
		return a.printPolicyVersions(v)
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		if !check || groups == "" {
			return put(c, args)
		}
		set, err := a.readPolicies(c.Context(), args[0], groups)
		if err != nil {
			return err
		}
		return checkPolicies(set)
	}
	return c
}

// readPolicies reads a set from a file of policies and one of groups, which may be empty.
func (a *app) readPolicies(ctx context.Context, path, groups string) (set policy.Set, err error) {
	text, err := a.readInput(ctx, path, vault.MaxPolicy)
	if err != nil {
		return set, err
	}
	set.Cedar = string(text)
	if groups == "" {
		return set, nil
	}
	if text, err = a.readInput(ctx, groups, vault.MaxPolicy); err != nil {
		return set, err
	}
	if err := json.Unmarshal(text, &set.Groups); err != nil {
		return set, usage("the groups are not an object of lists of principals: %v", err)
	}
	return set, nil
}

// checkPolicies returns the faults of a set.
func checkPolicies(set policy.Set) error {
	if _, err := (policy.Cedar{}).Compile(set.Encode()); err != nil {
		return &usageError{err}
	}
	return nil
}

func (a *app) policiesRestore() *cobra.Command {
	return &cobra.Command{
		Use: "restore VERSION", Short: "Put an earlier version again", Args: cobra.ExactArgs(1),
		Example: "  strongroom policies restore 7",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			number, err := versionNumber(args)
			if err != nil {
				return err
			}
			_, document, err := s.Client().Policy(ctx, number)
			if err != nil {
				return err
			}
			v, err := s.Client().PutPolicy(ctx, document)
			if err != nil {
				return err
			}
			return a.printPolicyVersions(v)
		}),
	}
}

// An explanation is the JSON form of policies explain.
type explanation struct {
	Allow     bool     `json:"allow"`
	Rule      string   `json:"rule,omitempty"`
	Approvals int      `json:"approvals,omitempty"`
	Within    string   `json:"within,omitempty"`
	Reasons   []string `json:"reasons"`
}

func (a *app) policiesExplain() *cobra.Command {
	var r vault.Request
	var pairs []string
	c := &cobra.Command{
		Use: "explain PRINCIPAL OPERATION [KEY]", Short: "Show how the policies decide a request, and why", Args: cobra.RangeArgs(2, 3),
		Long:    "explain decides a request without doing it. It exits with 4 if the policies deny it.",
		Example: "  strongroom policies explain shop Encrypt invoices --context purpose=billing",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) (err error) {
			r.Principal, r.Operation = vault.Principal(args[0]), vault.Operation(args[1])
			if len(args) == 3 {
				r.Key = args[2]
			}
			if r.Context, err = parsePairs(pairs); err != nil {
				return err
			}
			e, err := s.Client().ExplainPolicy(ctx, r)
			if err != nil {
				return err
			}
			return a.printExplanation(e)
		}),
	}
	f := c.Flags()
	f.StringArrayVar(&pairs, "context", nil, "a pair of the encryption context, `name=value`; may be repeated")
	f.StringVar(&r.Reason, "with-reason", "", "the `text` that the request gives as its reason")
	f.StringVar(&r.Resource, "resource", "", "the `name` of the resource of BindResource")
	f.StringVar((*string)(&r.Approves), "approves", "", "the `operation` that Approve approves")
	return c
}

func (a *app) printExplanation(e vault.Explanation) error {
	out := explanation{Allow: e.Allow, Rule: e.Rule, Approvals: e.Approvals, Reasons: e.Reasons}
	if e.Approvals > 0 {
		out.Within = e.Within.Round(time.Second).String()
	}
	err := a.one(out, "allowed", e.Allow, "rule", e.Rule, "approvals", approvalsText(out))
	if a.format == formatTable {
		for _, reason := range e.Reasons {
			if err == nil {
				_, err = fmt.Fprintln(a.stdout, cell(reason))
			}
		}
	}
	if err == nil && !e.Allow {
		err = errExplained
	}
	return err
}

func approvalsText(e explanation) string {
	if e.Approvals == 0 {
		return ""
	}
	return fmt.Sprintf("%d within %s", e.Approvals, e.Within)
}

func (a *app) policiesSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Write the schema of policies", Args: cobra.NoArgs,
		Long:    "schema writes the entities, actions and attributes that policies can name, in Cedar's schema language.",
		Example: "  strongroom policies schema > strongroom.cedarschema",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.writeOutput(c.Context(), "", []byte(policy.Schema()), false)
		},
	}
}
