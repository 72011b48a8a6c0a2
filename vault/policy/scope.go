package policy

import (
	"iter"
	"slices"
	"sync/atomic"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// uses says which parts of a request the conditions of a policy read. A decision is kept for
// further requests only if the parts that it was based on are the same.
type uses struct {
	// context: any attribute of the context, for which a record is built.
	context bool
	time    bool
	maps    bool // the encryption context, or the requested tags
}

func (u uses) or(v uses) uses {
	return uses{u.context || v.context, u.time || v.time, u.maps || v.maps}
}

// usesOf returns what the conditions of a policy read.
func usesOf(p *ast.Policy) (u uses) {
	variables, accessed := 0, 0
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			switch n := n.(type) {
			case ast.NodeTypeVariable:
				if n.Name == "context" {
					variables++
				}
			case ast.NodeTypeHas: // the same for every request
				if v, ok := n.Arg.(ast.NodeTypeVariable); ok && v.Name == "context" {
					accessed++
					u.context = true
				}
			case ast.NodeTypeAccess:
				if v, ok := n.Arg.(ast.NodeTypeVariable); ok && v.Name == "context" {
					accessed++
					u.context = true
					u.time = u.time || n.Value == "time"
					u.maps = u.maps || n.Value == "encryptionContext" || n.Value == "newTags"
				}
			}
			return true
		})
	}
	if variables > accessed { // the context as a whole
		return uses{true, true, true}
	}
	return u
}

// entitiesOf returns the entities that a policy names.
func entitiesOf(p *ast.Policy) (all []types.EntityUID) {
	for _, scope := range []ast.IsScopeNode{p.Principal, p.Action, p.Resource} {
		switch s := scope.(type) {
		case ast.ScopeTypeEq:
			all = append(all, s.Entity)
		case ast.ScopeTypeIn:
			all = append(all, s.Entity)
		case ast.ScopeTypeIsIn:
			all = append(all, s.Entity)
		case ast.ScopeTypeInSet:
			all = append(all, s.Entities...)
		}
	}
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			if v, ok := n.(ast.NodeValue); ok {
				if e, ok := v.Value.(types.EntityUID); ok {
					all = append(all, e)
				}
			}
			return true
		})
	}
	return all
}

// matches reports whether a scope of principals or actions can match an entity with these
// parents. The evaluation of a policy begins with its scope, which cannot fail, so a policy
// that does not match has no part in a decision. An unknown form of scope matches, and is
// left to the evaluation.
func matches(scope ast.IsScopeNode, e types.EntityUID, parents types.EntityUIDSet) bool {
	in := func(p types.EntityUID) bool { return p == e || parents.Contains(p) }
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity == e
	case ast.ScopeTypeIn:
		return in(s.Entity)
	case ast.ScopeTypeInSet:
		return slices.ContainsFunc(s.Entities, in)
	case ast.ScopeTypeIs:
		return s.Type == e.Type
	case ast.ScopeTypeIsIn:
		return s.Type == e.Type && in(s.Entity)
	}
	return true
}

// A ruleSet is the policies that a decision on a principal and an operation evaluates.
type ruleSet struct {
	principal, action    types.EntityUID
	groups, actionGroups types.EntityUIDSet
	onVault              bool // the operation acts on the whole vault

	rules []*rule // in the order of the text
	// forbids and permits are the rules with these effects, and indirect are those that Cedar
	// evaluates.
	forbids, permits, indirect []*rule

	uses uses
	// lastContext is the context of the last request.
	lastContext atomic.Pointer[requestContext]
}

// add adds the next rule in the order of the text.
func (s *ruleSet) add(r *rule) {
	s.rules = append(s.rules, r)
	if !r.direct {
		s.indirect = append(s.indirect, r)
	}
	if r.policy.Effect() == cedar.Forbid {
		s.forbids = append(s.forbids, r)
	} else {
		s.permits = append(s.permits, r)
	}
	s.uses = s.uses.or(r.uses)
}

// A candidates is the rules that may apply to a request for a key with this alias.
type candidates struct {
	rules []*rule
	alias string
}

// All implements cedar.PolicyIterator.
func (c *candidates) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range c.rules {
			if (r.alias == "" || r.alias == c.alias) && !yield(r.id, r.policy) {
				return
			}
		}
	}
}

// aliasOf returns the alias that a policy demands before it reads anything else: its first
// condition begins with resource.alias == "…". It does not apply to another alias, and its
// evaluation ends there without an error. It returns "" for other policies.
func aliasOf(p *ast.Policy) string {
	if len(p.Conditions) == 0 || p.Conditions[0].Condition != ast.ConditionWhen {
		return ""
	}
	first := p.Conditions[0].Body
	for {
		and, ok := first.(ast.NodeTypeAnd)
		if !ok {
			break
		}
		first = and.Left
	}
	equal, ok := first.(ast.NodeTypeEquals)
	if !ok {
		return ""
	}
	read, ok := equal.Left.(ast.NodeTypeAccess)
	if !ok || read.Value != "alias" || read.Arg != ast.IsNode(ast.NodeTypeVariable{Name: "resource"}) {
		return ""
	}
	value, ok := equal.Right.(ast.NodeValue)
	if !ok {
		return ""
	}
	alias, _ := value.Value.(types.String)
	return string(alias)
}
