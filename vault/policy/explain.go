package policy

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/cedar-policy/cedar-go"
	public "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"

	"strongroom.example/vault"
)

// Explain implements vault.Policies.
func (p *policies) Explain(r vault.Request) vault.Explanation {
	set := p.rulesFor(scopeOf{r.Principal, r.Operation})
	e := &entities{p: p, r: &r}
	out := vault.Explanation{Decision: set.decide(e)}
	q := cedarRequest(&r)
	env := eval.Env{Entities: e, Principal: q.Principal, Action: q.Action, Resource: q.Resource, Context: cedarContext(&r)}
	for _, one := range set.rules {
		why := one.unmetByAll(e, q.Resource, env)
		at := one.policy.Position()
		verb := "permits"
		if one.policy.Effect() == cedar.Forbid {
			verb = "forbids"
		}
		if why != "" {
			verb = "does not apply: " + why
		}
		out.Reasons = append(out.Reasons, fmt.Sprintf("policy %s (line %d, column %d) %s", one.id, at.Line, at.Column, verb))
	}
	if out.Rule == "" {
		out.Reasons = append(out.Reasons, fmt.Sprintf("no policy permits %s to %q", r.Operation, r.Principal))
	}
	return out
}

// unmetByAll is unmet for the first alias of the CMK as which the policy does not apply, or "" if
// it applies as one of them.
func (r *rule) unmetByAll(e *entities, resource types.EntityUID, env eval.Env) (first string) {
	for alias := range aliasesOf(e.r) {
		e.as(alias)
		why := r.unmet(resource, env)
		if why == "" {
			return ""
		}
		first = cmp.Or(first, why)
	}
	return first
}

// unmet returns the first part of a policy that does not hold, or "" if the policy
// applies.
func (r *rule) unmet(resource types.EntityUID, env eval.Env) string {
	if !matches(r.scope.Resource, resource, types.EntityUIDSet{}) {
		return "its resource is another one"
	}
	for _, c := range r.scope.Conditions {
		got, err := eval.Eval(c.Body, env)
		if err != nil {
			return fmt.Sprintf("%s cannot be evaluated: %v", text(c), err)
		}
		if got != types.Boolean(c.Condition) {
			return text(c) + " does not hold"
		}
	}
	return ""
}

// cedarText returns a policy with one condition as Cedar text.
func cedarText(c ast.ConditionType) string {
	one := ast.Permit()
	one.Conditions = []ast.ConditionType{c}
	return string((*public.Policy)(one).MarshalCedar())
}

// text returns a condition as Cedar text in one line.
func text(c ast.ConditionType) string {
	all, word := cedarText(c), "unless"
	if c.Condition == ast.ConditionWhen {
		word = "when"
	}
	all = all[max(0, strings.Index(all, word)):]
	return strings.TrimSuffix(strings.Join(strings.Fields(all), " "), ";")
}
