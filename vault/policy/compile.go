package policy

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"strongroom.example/vault"
	"strongroom.example/vault/internal/keyid"
)

//go:embed schema.cedarschema
var schemaText string

// Schema returns the schema of the policies, as Cedar text.
func Schema() string { return schemaText }

// loadSchema parses the schema once.
var loadSchema = sync.OnceValue(func() *resolved.Schema {
	var s schema.Schema
	s.SetFilename("schema.cedarschema")
	if err := s.UnmarshalCedar([]byte(schemaText)); err != nil {
		panic("policy: " + err.Error())
	}
	r, err := s.Resolve()
	if err != nil {
		panic("policy: " + err.Error())
	}
	return r
})

// A Fault is one fault of a Set.
type Fault struct {
	// Policy is the name of the policy; empty for a fault of the syntax and of a group.
	Policy string
	// Line and Column are counted from 1: the place of a fault of the syntax, or else the
	// beginning of the policy. They are 0 for a fault of a group.
	Line, Column int
	// Text says what is wrong.
	Text string
}

// Error returns the place and the text.
func (f *Fault) Error() string {
	switch {
	case f.Line == 0:
		return f.Text
	case f.Policy == "":
		return fmt.Sprintf("line %d, column %d: %s", f.Line, f.Column, f.Text)
	}
	return fmt.Sprintf("line %d, column %d, policy %s: %s", f.Line, f.Column, f.Policy, f.Text)
}

// The types of entities.
const (
	typePrincipal cedar.EntityType = "Principal"
	typeGroup     cedar.EntityType = "Group"
	typeKey       cedar.EntityType = "Key"
	typeVault     cedar.EntityType = "Vault"
	typeMap       cedar.EntityType = "Map"
	typeAction    cedar.EntityType = "Action"
)

// A rule is one compiled policy.
type rule struct {
	id     cedar.PolicyID
	policy *cedar.Policy
	scope  *ast.Policy
	uses   uses
	alias  string // see aliasOf
	// conditions are those of the policy, if direct is set; otherwise Cedar evaluates it.
	conditions []*part
	direct     bool
	// approvals and within are the values of @approvals and @within.
	approvals int
	// anySubject is the value "any" of @subject.
	anySubject bool
	within     time.Duration
}

// decision returns the decision of a rule that applies.
func (r *rule) decision() vault.Decision {
	d := vault.Decision{Allow: r.policy.Effect() == cedar.Permit, Rule: string(r.id)}
	d.Approvals, d.Within, d.AnySubject = r.approvals, r.within, r.anySubject
	return d
}

// position is the place that cedar-go names in the text of a syntax error.
var position = regexp.MustCompile(`<input>:(\d+):(\d+)`)

// syntaxFault returns the fault of a text that cannot be parsed.
func syntaxFault(err error) *Fault {
	f := &Fault{Line: 1, Column: 1, Text: err.Error()}
	if m := position.FindStringSubmatch(f.Text); m != nil {
		f.Line, _ = strconv.Atoi(m[1])
		f.Column, _ = strconv.Atoi(m[2])
	}
	return f
}

// compile checks a Set and prepares it for decisions.
func compile(s Set) (*policies, error) {
	list, err := cedar.NewPolicyListFromBytes("", []byte(s.Cedar))
	if err != nil {
		return nil, syntaxFault(err)
	}
	p, direct := newPolicies(s.Groups), newCompiler()
	faults := groupFaults(s.Groups)
	validator, seen := validate.New(loadSchema()), map[cedar.PolicyID]bool{}
	for i, one := range list {
		r := &rule{id: cedar.PolicyID("policy" + strconv.Itoa(i)), policy: one, scope: (*ast.Policy)(one.AST())}
		fault := func(format string, args ...any) {
			at := one.Position()
			faults = append(faults, &Fault{string(r.id), at.Line, at.Column, fmt.Sprintf(format, args...)})
		}
		r.annotate(fault)
		if seen[r.id] {
			fault("another policy has this name")
		}
		seen[r.id] = true
		if err := validator.Policy("", r.scope); err != nil {
			fault("%v", err)
		}
		r.checkEntities(s.Groups, p, fault)
		r.uses, r.alias = usesOf(r.scope), aliasOf(r.scope)
		r.conditions, r.direct = direct.directly(r.scope)
		p.rules = append(p.rules, r)
	}
	return p, errors.Join(faults...)
}

// groupFaults returns the faults of groups.
func groupFaults(groups map[string][]vault.Principal) (faults []error) {
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		if name == "" || slices.Contains(groups[name], "") {
			faults = append(faults, &Fault{Text: fmt.Sprintf("group %q: the name of a group or principal is empty", name)})
		}
	}
	return faults
}

const (
	maxApprovals = 16
	maxWithin    = 7 * 24 * time.Hour
)

// maxID is the length of a policy's name, which every audit record has.
const maxID = 64

// annotate reads the annotations.
func (r *rule) annotate(fault func(string, ...any)) {
	for _, a := range r.scope.Annotations {
		switch a.Key {
		case "id":
			if a.Value == "" || len(a.Value) > maxID {
				fault("@id has %d bytes, not 1 to %d", len(a.Value), maxID)
				continue
			}
			r.id = cedar.PolicyID(a.Value)
		case "description":
		case "approvals":
			n, err := strconv.Atoi(string(a.Value))
			if r.approvals = n; err != nil || n < 1 || n > maxApprovals {
				fault("@approvals(%q) is not a number from 1 to %d", a.Value, maxApprovals)
			}
		case "within":
			d, err := time.ParseDuration(string(a.Value))
			if r.within = d; err != nil || d <= 0 || d > maxWithin {
				fault("@within(%q) is not a time up to 168h, such as 30m", a.Value)
			}
		case "subject":
			if r.anySubject = a.Value == "any"; !r.anySubject {
				fault("@subject(%q) is not \"any\"", a.Value)
			}
		default:
			fault("@%s is not known; the annotations are @id, @description, @approvals, @within and @subject", a.Key)
		}
	}
	if r.within > 0 && r.approvals == 0 {
		fault("@within needs @approvals")
	}
	if r.anySubject && r.approvals == 0 {
		fault("@subject needs @approvals")
	}
	if r.approvals > 0 && r.policy.Effect() == cedar.Forbid {
		fault("@approvals has no meaning in a policy that forbids")
	}
}

// checkEntities reports entities that no request can have, and collects the principals.
func (r *rule) checkEntities(groups map[string][]vault.Principal, p *policies, fault func(string, ...any)) {
	for _, e := range entitiesOf(r.scope) {
		switch e.Type {
		case typePrincipal:
			p.principals[vault.Principal(e.ID)] = true
		case typeGroup:
			if _, ok := groups[string(e.ID)]; !ok {
				fault("Group::%q is not among the groups of the set", e.ID)
			}
		case typeKey:
			if _, ok := keyid.Parse(string(e.ID)); !ok && e.ID != "" {
				fault("Key::%q is not the id of a key; for an alias, write resource.alias == %[1]q", e.ID)
			}
		case typeVault:
			if e.ID != "vault" {
				fault("Vault::%q does not exist; the one vault is Vault::%q", e.ID, "vault")
			}
		}
	}
}
