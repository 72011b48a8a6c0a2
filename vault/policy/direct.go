package policy

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// A condition decides a part of a policy on the request itself. That costs a tenth of an
// evaluation by Cedar, which needs entities and records.
type condition func(*view) bool

// A part is a condition of one or more policies.
type part struct {
	node  ast.IsNode
	holds condition
	// at is the place of its result in a view, or 0 if it has none because one policy alone
	// has the part or because there are too many.
	at int
}

// in reports whether the part holds. A part that has a place is evaluated at most once for each
// view.
func (p *part) in(v *view) bool {
	switch {
	case p.at == 0:
		return p.holds(v)
	case v.results[p.at] == notEvaluated:
		v.results[p.at] = isFalse
		if p.holds(v) {
			v.results[p.at] = isTrue
		}
	}
	return v.results[p.at] == isTrue
}

// A compiler compiles the conditions of a set of policies.
type compiler struct {
	tags   map[tagName]int
	parts  map[string][]*part // by their Cedar text
	places int                // of those, how many have a place in a view
}

func newCompiler() *compiler { return &compiler{tags: map[tagName]int{}, parts: map[string][]*part{}} }

// directly returns the conditions of a policy for requests that match its scope of principals
// and actions, or false if the policy has a part that only Cedar evaluates. That is so for every
// part whose evaluation may fail.
func (c *compiler) directly(p *ast.Policy) (all []*part, ok bool) {
	if !cannotFail(p) {
		return nil, false
	}
	nodes, ok := resourceNodes(p.Resource)
	if !ok {
		return nil, false
	}
	for _, one := range p.Conditions {
		if one.Condition {
			nodes = append(nodes, conjunction(one.Body)...)
		} else { // unless
			nodes = append(nodes, ast.NodeTypeNot{UnaryNode: ast.UnaryNode{Arg: one.Body}})
		}
	}
	for _, n := range nodes {
		one, ok := c.partOf(n)
		if !ok {
			return nil, false
		}
		all = append(all, one)
	}
	return all, true
}

// partOf returns a boolean expression as a part, which is the same for equal expressions.
func (c *compiler) partOf(n ast.IsNode) (*part, bool) {
	key := cedarText(ast.ConditionType{Condition: ast.ConditionWhen, Body: n})
	for _, known := range c.parts[key] {
		if !ast.Equal(ast.NewNode(known.node), ast.NewNode(n)) {
			continue
		}
		if known.at == 0 && c.places < viewResults {
			c.places++
			known.at = c.places
		}
		return known, true
	}
	holds, ok := c.conditionOf(n)
	if !ok {
		return nil, false
	}
	one := &part{node: n, holds: holds}
	c.parts[key] = append(c.parts[key], one)
	return one, true
}

// resourceNodes returns the expressions that stand for a scope of resources.
func resourceNodes(scope ast.IsResourceScopeNode) ([]ast.IsNode, bool) {
	resource := ast.NodeTypeVariable{Name: "resource"}
	switch s := scope.(type) {
	case ast.ScopeTypeAll:
		return nil, true
	case ast.ScopeTypeIs:
		return []ast.IsNode{ast.NodeTypeIs{Left: resource, EntityType: s.Type}}, true
	case ast.ScopeTypeEq:
		return []ast.IsNode{ast.NodeTypeEquals{BinaryNode: ast.BinaryNode{Left: resource, Right: ast.NodeValue{Value: s.Entity}}}}, true
	case ast.ScopeTypeIn:
		return []ast.IsNode{ast.NodeTypeIn{BinaryNode: ast.BinaryNode{Left: resource, Right: ast.NodeValue{Value: s.Entity}}}}, true
	}
	return nil, false
}

// conjunction returns the parts of an expression that all have to hold, in the order in which
// they are evaluated.
func conjunction(n ast.IsNode) []ast.IsNode {
	and, ok := n.(ast.NodeTypeAnd)
	if !ok {
		return []ast.IsNode{n}
	}
	return append(conjunction(and.Left), conjunction(and.Right)...)
}

func not(holds condition) condition { return func(v *view) bool { return !holds(v) } }

// conditionOf returns a boolean expression as a condition.
func (c *compiler) conditionOf(n ast.IsNode) (condition, bool) {
	switch n := n.(type) {
	case ast.NodeTypeAnd:
		a, b, ok := both(c.conditionOf, n.BinaryNode)
		return func(v *view) bool { return a(v) && b(v) }, ok
	case ast.NodeTypeOr:
		a, b, ok := both(c.conditionOf, n.BinaryNode)
		return func(v *view) bool { return a(v) || b(v) }, ok
	case ast.NodeTypeNot:
		holds, ok := c.conditionOf(n.Arg)
		return not(holds), ok
	case ast.NodeTypeIfThenElse:
		return c.choice(n)
	case ast.NodeTypeEquals:
		return c.equal(n.BinaryNode)
	case ast.NodeTypeNotEquals:
		holds, ok := c.equal(n.BinaryNode)
		return not(holds), ok
	case ast.NodeTypeLessThan:
		return c.ordered(n.BinaryNode, func(a, b int64) bool { return a < b })
	case ast.NodeTypeLessThanOrEqual:
		return c.ordered(n.BinaryNode, func(a, b int64) bool { return a <= b })
	case ast.NodeTypeGreaterThan:
		return c.ordered(n.BinaryNode, func(a, b int64) bool { return a > b })
	case ast.NodeTypeGreaterThanOrEqual:
		return c.ordered(n.BinaryNode, func(a, b int64) bool { return a >= b })
	case ast.NodeTypeLike:
		text, ok := c.textIn(n.Arg)
		pattern := n.Value
		return func(v *view) bool { return pattern.Match(types.String(text(v))) }, ok
	case ast.NodeTypeContains:
		return c.contained(n.BinaryNode)
	case ast.NodeTypeHas:
		return has(n)
	case ast.NodeTypeHasTag:
		l, ok := c.lookup(n.BinaryNode)
		return func(v *view) bool { return l.in(v).there }, ok
	case ast.NodeTypeIs:
		one, ok := entityIn(n.Left)
		return func(v *view) bool { return one(v).Type == n.EntityType }, ok
	case ast.NodeTypeIn:
		return member(n.Left, n.Right)
	case ast.NodeTypeIsIn:
		is, ok := c.conditionOf(n.NodeTypeIs)
		in, also := member(n.Left, n.Entity)
		return func(v *view) bool { return is(v) && in(v) }, ok && also
	case ast.NodeValue:
		value, ok := n.Value.(types.Boolean)
		return func(*view) bool { return bool(value) }, ok
	}
	return nil, false
}

// both compiles both operands.
func both[T any](compile func(ast.IsNode) (T, bool), n ast.BinaryNode) (a, b T, ok bool) {
	a, first := compile(n.Left)
	b, second := compile(n.Right)
	return a, b, first && second
}

func (c *compiler) choice(n ast.NodeTypeIfThenElse) (condition, bool) {
	which, ok := c.conditionOf(n.If)
	a, b, also := both(c.conditionOf, ast.BinaryNode{Left: n.Then, Right: n.Else})
	return func(v *view) bool {
		if which(v) {
			return a(v)
		}
		return b(v)
	}, ok && also
}

// equal compares two operands of one type, as the schema demands.
func (c *compiler) equal(n ast.BinaryNode) (condition, bool) {
	if isText(n.Right) {
		return c.equalTo(n.Left, textOfLiteral(n.Right))
	}
	if a, b, ok := both(c.textIn, n); ok {
		return func(v *view) bool { return a(v) == b(v) }, true
	}
	if a, b, ok := both(entityIn, n); ok {
		return func(v *view) bool { return a(v) == b(v) }, true
	}
	if a, b, ok := both(measureIn, n); ok {
		return func(v *view) bool { return a(v) == b(v) }, true
	}
	a, b, ok := both(c.conditionOf, n)
	return func(v *view) bool { return a(v) == b(v) }, ok
}

// equalTo compares a text with a literal, which is what most policies do.
func (c *compiler) equalTo(n ast.IsNode, literal string) (condition, bool) {
	if get, ok := n.(ast.NodeTypeGetTag); ok {
		l, ok := c.lookup(get.BinaryNode)
		return func(v *view) bool { return l.in(v).value == literal }, ok
	}
	text, ok := c.textIn(n)
	return func(v *view) bool { return text(v) == literal }, ok
}

// ordered compares two times, durations or numbers.
func (c *compiler) ordered(n ast.BinaryNode, holds func(a, b int64) bool) (condition, bool) {
	a, b, ok := both(measureIn, n)
	return func(v *view) bool { return holds(a(v), b(v)) }, ok
}

// contained looks for a text in a set of literals, or among the aliases.
func (c *compiler) contained(n ast.BinaryNode) (condition, bool) {
	if n.Left == ast.IsNode(resourceAliases) {
		text, ok := c.textIn(n.Right)
		return func(v *view) bool {
			alias := text(v)
			return alias != "" && (alias == v.Alias || slices.Contains(v.OtherAliases, alias))
		}, ok
	}
	set, ok := n.Left.(ast.NodeTypeSet)
	if !ok || slices.ContainsFunc(set.Elements, func(one ast.IsNode) bool { return !isText(one) }) {
		return nil, false
	}
	all := map[string]bool{}
	for _, one := range set.Elements {
		all[textOfLiteral(one)] = true
	}
	text, ok := c.textIn(n.Right)
	return func(v *view) bool { return all[text(v)] }, ok
}

// resourceAliases is the expression resource.aliases.
var resourceAliases = ast.NodeTypeAccess{StrOpNode: ast.StrOpNode{Arg: ast.NodeTypeVariable{Name: "resource"}, Value: "aliases"}}

// has looks for an attribute of the context, which every request has, or of a key, which the
// vault does not have.
func has(n ast.NodeTypeHas) (condition, bool) {
	switch n.Arg {
	case ast.IsNode(ast.NodeTypeVariable{Name: "context"}):
		_, text := contextTexts[n.Value]
		_, tags := requestMaps[n.Value]
		there := text || tags && n.Value != "" || n.Value == "time"
		return func(*view) bool { return there }, true
	case ast.IsNode(ast.NodeTypeVariable{Name: "resource"}):
		_, text := keyTexts[n.Value]
		return func(v *view) bool { return (text || n.Value == "aliases") && v.resource.Type == typeKey }, true
	}
	return nil, false
}

// member looks for a principal, an action or a resource in a group or in a set of literals.
func member(left, right ast.IsNode) (condition, bool) {
	variable, ok := left.(ast.NodeTypeVariable)
	if !ok {
		return nil, false
	}
	elements := []ast.IsNode{right}
	if set, ok := right.(ast.NodeTypeSet); ok {
		elements = set.Elements
	}
	var all []types.EntityUID
	for _, one := range elements {
		value, ok := one.(ast.NodeValue)
		if !ok {
			return nil, false
		}
		entity, ok := value.Value.(types.EntityUID)
		if !ok {
			return nil, false
		}
		all = append(all, entity)
	}
	one, ok := entityIn(left)
	return func(v *view) bool {
		parents := v.parents(variable.Name)
		return slices.ContainsFunc(all, func(p types.EntityUID) bool { return p == one(v) || parents.Contains(p) })
	}, ok
}
