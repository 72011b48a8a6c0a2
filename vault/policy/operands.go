package policy

import (
	"time"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"strongroom.example/vault"
)

// A view is a request as the conditions of a set of rules read it, with the tags that were
// looked up already and the results of parts that several policies have.
type view struct {
	*vault.Request
	set      *ruleSet
	resource types.EntityUID
	alias    string // see entities.alias
	tags     [viewTags]tag
	results  [viewResults + 1]result
	clock    *int64 // the time of day, once it was read
}

const (
	// viewTags is how many different tags, which the policies of a set read, a view keeps.
	viewTags = 16
	// viewResults is how many results of parts a view keeps.
	viewResults = 64
)

// A result is that of a part.
type result uint8

const (
	notEvaluated result = iota
	isFalse
	isTrue
)

// A tag is a tag that was looked up.
type tag struct {
	known, there bool
	value        string
}

// as sets the alias that the conditions see, and drops results that may depend on another.
func (v *view) as(alias string) {
	if v.alias != alias {
		v.alias, v.results = alias, [viewResults + 1]result{}
	}
}

// parents returns the entities in which the principal, the action or the resource is.
func (v *view) parents(variable types.String) types.EntityUIDSet {
	switch variable {
	case "principal":
		return v.set.groups
	case "action":
		return v.set.actionGroups
	}
	return types.EntityUIDSet{}
}

// timeOfDay returns the milliseconds since midnight, UTC, as Cedar computes them.
func (v *view) timeOfDay() int64 {
	if v.clock == nil {
		t := time.UnixMilli(v.Time.UnixMilli())
		now := t.Sub(t.Truncate(24 * time.Hour)).Milliseconds()
		v.clock = &now
	}
	return *v.clock
}

// Functions that read a value of a request.
type (
	textOf   func(*view) string
	entityOf func(*view) types.EntityUID
	// measureOf reads a time, a duration or a number: in milliseconds but for the last.
	measureOf func(*view) int64
)

// Attributes of the resource and of the context that are strings.
var (
	keyTexts = map[types.String]textOf{
		"alias":  func(v *view) string { return v.alias },
		"usage":  func(v *view) string { return string(v.Usage) },
		"origin": func(v *view) string { return string(v.Origin) },
		"driver": func(v *view) string { return v.KeyDriver },
	}
	contextTexts = map[types.String]textOf{
		"reason":        func(v *view) string { return v.Reason },
		"newAlias":      func(v *view) string { return v.NewAlias },
		"newDriver":     func(v *view) string { return v.Driver },
		"boundResource": func(v *view) string { return v.Resource },
		"dataKey":       func(v *view) string { return v.DataKey },
		"dataKeyName":   func(v *view) string { return v.DataKeyName },
		"subject":       func(v *view) string { return v.Subject },
		"approves":      func(v *view) string { return string(v.Approves) },
		"recipient":     func(v *view) string { return v.Recipient },
	}
	// requestMaps are the tags of the key, and the attributes of the context that are maps.
	requestMaps = map[types.String]func(*vault.Request) map[string]string{
		"":                  func(r *vault.Request) map[string]string { return r.Tags },
		"encryptionContext": func(r *vault.Request) map[string]string { return r.Context },
		"newTags":           func(r *vault.Request) map[string]string { return r.NewTags },
	}
)

// textIn returns an expression whose value is a string.
func (c *compiler) textIn(n ast.IsNode) (textOf, bool) {
	switch n := n.(type) {
	case ast.NodeValue:
		value, ok := n.Value.(types.String)
		return func(*view) string { return string(value) }, ok
	case ast.NodeTypeAccess:
		v, ok := n.Arg.(ast.NodeTypeVariable)
		if !ok {
			return nil, false
		}
		texts := contextTexts
		if v.Name == "resource" {
			texts = keyTexts
		} else if v.Name != "context" {
			return nil, false
		}
		text, ok := texts[n.Value]
		return text, ok
	case ast.NodeTypeGetTag: // cannotFail has found that the tag is there
		l, ok := c.lookup(n.BinaryNode)
		return func(v *view) string { return l.in(v).value }, ok
	}
	return nil, false
}

// A tagName names a tag in one of the maps of a request.
type tagName struct {
	of   types.String // the attribute of the context, or "" for the tags of the key
	name string
}

// A tagReader looks up a tag.
type tagReader struct {
	of   func(*vault.Request) map[string]string
	name string
	at   int // its place in a view
}

// in looks up the tag, at most once for each view if that has a place for it.
func (l *tagReader) in(v *view) *tag {
	if l.at >= viewTags {
		value, there := l.of(v.Request)[l.name]
		return &tag{true, there, value}
	}
	t := &v.tags[l.at]
	if !t.known {
		t.value, t.there = l.of(v.Request)[l.name]
		t.known = true
	}
	return t
}

// lookup returns the reader of the tag of an expression that reads a tag or looks for it.
func (c *compiler) lookup(n ast.BinaryNode) (*tagReader, bool) {
	if !isMap(n.Left) || !isText(n.Right) {
		return nil, false
	}
	at := tagName{name: textOfLiteral(n.Right)}
	if access, isContext := n.Left.(ast.NodeTypeAccess); isContext {
		at.of = access.Value
	}
	of, ok := requestMaps[at.of]
	if !ok {
		return nil, false
	}
	i, known := c.tags[at]
	if !known {
		i = len(c.tags)
		c.tags[at] = i
	}
	return &tagReader{of, at.name, i}, true
}

// entityIn returns an expression whose value is an entity.
func entityIn(n ast.IsNode) (entityOf, bool) {
	switch n := n.(type) {
	case ast.NodeTypeVariable:
		switch n.Name {
		case "principal":
			return func(v *view) types.EntityUID { return v.set.principal }, true
		case "action":
			return func(v *view) types.EntityUID { return v.set.action }, true
		case "resource":
			return func(v *view) types.EntityUID { return v.resource }, true
		}
	case ast.NodeValue:
		value, ok := n.Value.(types.EntityUID)
		return func(*view) types.EntityUID { return value }, ok
	}
	return nil, false
}

// measureIn returns an expression whose value is a time, a duration or a number, and whose
// evaluation cannot fail: a literal, the time of the request, or its time of day.
func measureIn(n ast.IsNode) (measureOf, bool) {
	constant := func(value int64, ok bool) (measureOf, bool) { return func(*view) int64 { return value }, ok }
	switch n := n.(type) {
	case ast.NodeValue:
		value, ok := n.Value.(types.Long)
		return constant(int64(value), ok)
	case ast.NodeTypeAccess:
		if isTime(n) {
			return func(v *view) int64 { return v.Time.UnixMilli() }, true
		}
	case ast.NodeTypeExtensionCall:
		switch {
		case len(n.Args) != 1:
		case n.Name == "toTime" && isTime(n.Args[0]):
			return (*view).timeOfDay, true
		case n.Name == "datetime" && isText(n.Args[0]):
			value, err := types.ParseDatetime(textOfLiteral(n.Args[0]))
			return constant(value.Milliseconds(), err == nil)
		case n.Name == "duration" && isText(n.Args[0]):
			value, err := types.ParseDuration(textOfLiteral(n.Args[0]))
			return constant(value.ToMilliseconds(), err == nil)
		}
	}
	return nil, false
}

// isTime reports whether an expression is the time of the request.
func isTime(n ast.IsNode) bool {
	access, ok := n.(ast.NodeTypeAccess)
	return ok && access.Value == "time" && access.Arg == ast.IsNode(ast.NodeTypeVariable{Name: "context"})
}

// isMap reports whether an expression is the resource, or one of the maps of the context.
func isMap(n ast.IsNode) bool {
	if access, ok := n.(ast.NodeTypeAccess); ok {
		n = access.Arg
		return n == ast.IsNode(ast.NodeTypeVariable{Name: "context"})
	}
	return n == ast.IsNode(ast.NodeTypeVariable{Name: "resource"})
}

// isText reports whether an expression is a literal string.
func isText(n ast.IsNode) bool {
	v, ok := n.(ast.NodeValue)
	if !ok {
		return false
	}
	_, ok = v.Value.(types.String)
	return ok
}

// textOfLiteral returns the text of a literal string.
func textOfLiteral(n ast.IsNode) string { return string(n.(ast.NodeValue).Value.(types.String)) }
