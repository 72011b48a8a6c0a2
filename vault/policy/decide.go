package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"strongroom.example/vault"
)

// policies implements vault.Policies.
type policies struct {
	rules      []*rule
	principals map[vault.Principal]bool
	groupsOf   map[vault.Principal]types.EntityUIDSet

	mu sync.RWMutex
	// sets has the rules whose scope matches a principal and an operation.
	sets map[scopeOf]*ruleSet
	// decided has the last decision on each key by a principal and an operation.
	decided map[subject]*decided
}

type scopeOf struct {
	principal vault.Principal
	operation vault.Operation
}

type subject struct {
	scopeOf
	key string
}

// decided is a decision with what it was based on.
type decided struct {
	vault.Decision
	request  vault.Request
	entities entities // of the CMK; those of the maps are not kept
	uses     uses
}

// kept is how many entries each of the two maps has at most.
const kept = 8192

// newPolicies returns an empty set of policies for these groups.
func newPolicies(groups map[string][]vault.Principal) *policies {
	p := &policies{
		principals: map[vault.Principal]bool{}, groupsOf: map[vault.Principal]types.EntityUIDSet{},
		sets: map[scopeOf]*ruleSet{}, decided: map[subject]*decided{},
	}
	of := map[vault.Principal][]types.EntityUID{}
	for name, members := range groups {
		for _, m := range members {
			p.principals[m] = true
			of[m] = append(of[m], types.NewEntityUID(typeGroup, types.String(name)))
		}
	}
	for m, names := range of {
		p.groupsOf[m] = types.NewEntityUIDSet(names...)
	}
	return p
}

// Principals implements vault.Policies.
func (p *policies) Principals() []vault.Principal {
	return slices.Sorted(maps.Keys(p.principals))
}

// Authorize implements vault.Authorizer. It names the policy that decided: the first one, in
// the order of the text, that forbids or else permits. A policy that cannot be evaluated
// denies, because it may be one that forbids.
func (p *policies) Authorize(_ context.Context, r vault.Request) (vault.Decision, error) {
	at := subject{scopeOf{r.Principal, r.Operation}, keyName(&r)}
	p.mu.RLock()
	last := p.decided[at]
	p.mu.RUnlock()
	if last != nil && last.sameKey(&r) {
		if last.decides(&r) {
			return last.Decision, nil
		}
		return p.evaluate(at, r, last), nil
	}
	return p.evaluate(at, r, nil), nil
}

// evaluate decides a request and keeps the decision, unless no other request can use any of it.
// last, if set, is a decision on the same CMK, unchanged. It is apart from Authorize because the
// request escapes to the heap here.
func (p *policies) evaluate(at subject, r vault.Request, last *decided) vault.Decision {
	p.mu.RLock()
	set := p.sets[at.scopeOf]
	p.mu.RUnlock()
	if set == nil {
		set = p.rulesFor(at.scopeOf)
	}
	next := &decided{entities: entities{p: p, r: &r}, uses: set.uses}
	if last != nil {
		next.entities.key, next.entities.alias, next.entities.hasKey = last.entities.key, last.entities.alias, last.entities.hasKey
	}
	next.Decision = set.decide(&next.entities)
	if !set.uses.time || len(set.indirect) > 0 {
		p.keep(at, next)
	}
	return next.Decision
}

// sameKey reports whether a request is for the same CMK as the decided one, unchanged.
func (d *decided) sameKey(r *vault.Request) bool {
	was := &d.request
	return was.Alias == r.Alias && slices.Equal(was.OtherAliases, r.OtherAliases) && was.KeyDriver == r.KeyDriver && was.Usage == r.Usage && was.Origin == r.Origin && maps.Equal(was.Tags, r.Tags)
}

// decides reports whether a request for the same CMK equals the decided one in everything else
// that the policies read.
func (d *decided) decides(r *vault.Request) bool {
	was := &d.request
	return !d.uses.time &&
		(!d.uses.context || was.Reason == r.Reason && was.NewAlias == r.NewAlias && was.Driver == r.Driver && was.Resource == r.Resource && was.Recipient == r.Recipient && was.Subject == r.Subject && was.Approves == r.Approves && was.DataKey == r.DataKey && was.DataKeyName == r.DataKeyName) &&
		(!d.uses.maps || maps.Equal(was.Context, r.Context) && maps.Equal(was.NewTags, r.NewTags))
}

// keep keeps a decision, with copies of the maps and the slice.
func (p *policies) keep(at subject, d *decided) {
	d.request = *d.entities.r
	d.request.Tags, d.request.OtherAliases = maps.Clone(d.request.Tags), slices.Clone(d.request.OtherAliases)
	d.request.Context, d.request.NewTags = maps.Clone(d.request.Context), maps.Clone(d.request.NewTags)
	d.entities.r, d.entities.context, d.entities.tags = nil, types.Entity{}, types.Entity{}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.decided) >= kept {
		clear(p.decided)
	}
	p.decided[at] = d
}

// rulesFor returns the rules whose scope matches a principal and an operation.
func (p *policies) rulesFor(at scopeOf) *ruleSet {
	set := &ruleSet{
		principal: types.NewEntityUID(typePrincipal, types.String(at.principal)), groups: p.groupsOf[at.principal],
		action: types.NewEntityUID(typeAction, types.String(at.operation)),
	}
	set.actionGroups, set.onVault = loadSchema().Actions[set.action].Entity.Parents, onVault(set.action)
	for _, r := range p.rules {
		if matches(r.scope.Principal, set.principal, set.groups) && matches(r.scope.Action, set.action, set.actionGroups) {
			set.add(r)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sets) >= kept {
		clear(p.sets)
	}
	p.sets[at] = set
	return set
}

// decide evaluates the rules on a request. The first one that applies and forbids decides, or
// else of those that permit the first that demands the fewest approvals.
func (s *ruleSet) decide(e *entities) vault.Decision {
	byCedar, failed := s.evaluate(e)
	if failed != "" {
		return vault.Decision{Rule: fmt.Sprintf("%s cannot be evaluated", failed)}
	}
	v := &view{Request: e.r, alias: e.r.Alias, set: s, resource: resourceOf(e.r, s.onVault)}
	applies := func(r *rule) bool { return r.direct && r.holds(v) || !r.direct && slices.Contains(byCedar, r.id) }
	for _, r := range s.forbids {
		if applies(r) {
			return r.decision()
		}
	}
	var d vault.Decision
	for _, r := range s.permits {
		if d.Allow && r.approvals >= d.Approvals || !applies(r) {
			continue
		}
		if d = r.decision(); d.Approvals == 0 {
			break
		}
	}
	return d
}

// evaluate has Cedar evaluate the rules that are not direct, with each alias of the CMK. It
// returns those that apply, and the first that cannot be evaluated.
func (s *ruleSet) evaluate(e *entities) (applying []cedar.PolicyID, failed cedar.PolicyID) {
	if len(s.indirect) == 0 {
		return nil, ""
	}
	q := s.request(e.r)
	for alias := range aliasesOf(e.r) {
		e.as(alias)
		_, why := cedar.Authorize(&candidates{s.indirect, alias}, e, q)
		if len(why.Errors) > 0 {
			return nil, why.Errors[0].PolicyID
		}
		for _, one := range why.Reasons {
			applying = append(applying, one.PolicyID)
		}
	}
	return applying, ""
}

// holds reports whether all conditions of a direct rule hold, of a CMK with several aliases as one
// of them.
func (r *rule) holds(v *view) bool {
	if r.holdsAs(v.Alias, v) {
		return true
	}
	return slices.ContainsFunc(v.OtherAliases, func(alias string) bool { return r.holdsAs(alias, v) })
}

func (r *rule) holdsAs(alias string, v *view) bool {
	v.as(alias)
	for _, one := range r.conditions {
		if !one.in(v) {
			return false
		}
	}
	return true
}
