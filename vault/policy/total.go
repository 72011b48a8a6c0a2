package policy

import (
	"slices"

	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// cannotFail reports whether the evaluation of a policy that the schema accepts ends without an
// error for every request. Then a decision need not evaluate the policies behind the one that
// decides. It is false where that is not sure: for arithmetic, most extension functions, and
// tags that are read without a preceding check for them.
func cannotFail(p *ast.Policy) bool {
	for _, c := range p.Conditions {
		if !total(c.Body, nil) {
			return false
		}
	}
	return true
}

// total is cannotFail for one expression. checked are the checks for tags that hold where it is
// evaluated.
func total(n ast.IsNode, checked []ast.BinaryNode) bool {
	both := func(b ast.BinaryNode) bool { return total(b.Left, checked) && total(b.Right, checked) }
	switch n := n.(type) {
	case ast.NodeTypeVariable:
		return true
	case ast.NodeValue:
		return true
	case ast.NodeTypeAccess:
		v, ok := n.Arg.(ast.NodeTypeVariable) // every key, and every request, has all attributes
		return ok && (v.Name == "resource" || v.Name == "context")
	case ast.NodeTypeAnd:
		return total(n.Left, checked) && total(n.Right, append(slices.Clip(checked), tagChecks(n.Left)...))
	case ast.NodeTypeOr:
		return both(n.BinaryNode)
	case ast.NodeTypeNot:
		return total(n.Arg, checked)
	case ast.NodeTypeIfThenElse:
		return total(n.If, checked) && total(n.Then, append(slices.Clip(checked), tagChecks(n.If)...)) && total(n.Else, checked)
	case ast.NodeTypeEquals:
		return both(n.BinaryNode)
	case ast.NodeTypeNotEquals:
		return both(n.BinaryNode)
	case ast.NodeTypeLessThan:
		return measures(n.BinaryNode)
	case ast.NodeTypeLessThanOrEqual:
		return measures(n.BinaryNode)
	case ast.NodeTypeGreaterThan:
		return measures(n.BinaryNode)
	case ast.NodeTypeGreaterThanOrEqual:
		return measures(n.BinaryNode)
	case ast.NodeTypeExtensionCall:
		_, ok := measureIn(n)
		return ok
	case ast.NodeTypeContains:
		return both(n.BinaryNode)
	case ast.NodeTypeSet:
		return !slices.ContainsFunc(n.Elements, func(one ast.IsNode) bool { return !total(one, checked) })
	case ast.NodeTypeIn:
		return both(n.BinaryNode)
	case ast.NodeTypeIsIn:
		return total(n.Left, checked) && total(n.Entity, checked)
	case ast.NodeTypeHas:
		return total(n.Arg, checked)
	case ast.NodeTypeHasTag:
		return isMap(n.Left) && isText(n.Right)
	case ast.NodeTypeGetTag:
		return isMap(n.Left) && isText(n.Right) && slices.Contains(checked, n.BinaryNode)
	case ast.NodeTypeLike:
		return total(n.Arg, checked)
	case ast.NodeTypeIs:
		return total(n.Left, checked)
	}
	return false
}

// measures reports whether measureIn reads both operands.
func measures(n ast.BinaryNode) bool {
	_, _, ok := both(measureIn, n)
	return ok
}

// tagChecks returns the checks for tags that hold if an expression is true.
func tagChecks(n ast.IsNode) []ast.BinaryNode {
	switch n := n.(type) {
	case ast.NodeTypeAnd:
		return append(tagChecks(n.Left), tagChecks(n.Right)...)
	case ast.NodeTypeHasTag:
		if isMap(n.Left) && isText(n.Right) { // only these can be compared
			return []ast.BinaryNode{n.BinaryNode}
		}
	}
	return nil
}
