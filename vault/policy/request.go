package policy

import (
	"iter"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"strongroom.example/vault"
)

// The entities that stand for the maps of a request.
var (
	encryptionContext = types.NewEntityUID(typeMap, "encryptionContext")
	newTags           = types.NewEntityUID(typeMap, "newTags")
	theVault          = types.NewEntityUID(typeVault, "vault")
)

// entities has the entities with which Cedar evaluates one request. Groups and operations are
// those of the set of policies. The CMK and the maps of the context are made when a policy
// reads them.
type entities struct {
	p *policies
	r *vault.Request
	// alias is the one of the CMK's aliases that the policies see as resource.alias.
	alias string
	// key, context and tags are those that were made.
	key, context, tags types.Entity
	hasKey             bool
}

// Get implements types.EntityGetter.
func (e *entities) Get(uid types.EntityUID) (types.Entity, bool) {
	switch uid.Type {
	case typePrincipal:
		return types.Entity{UID: uid, Parents: e.p.groupsOf[vault.Principal(uid.ID)]}, true
	case typeKey:
		if string(uid.ID) != keyName(e.r) {
			return types.Entity{}, false
		}
		if !e.hasKey {
			e.hasKey = true
			e.key = types.Entity{UID: uid, Tags: record(e.r.Tags), Attributes: types.NewRecord(types.RecordMap{
				"alias": types.String(e.alias), "aliases": aliasSet(e.r), "usage": types.String(e.r.Usage),
				"origin": types.String(e.r.Origin), "driver": types.String(e.r.KeyDriver),
			})}
		}
		return e.key, true
	case typeMap:
		if uid == newTags {
			return mapEntity(&e.tags, uid, e.r.NewTags), true
		}
		return mapEntity(&e.context, uid, e.r.Context), true
	case typeAction:
		return loadSchema().Actions[uid].Entity, true
	}
	return types.Entity{UID: uid}, true
}

// as sets the alias that the policies see as resource.alias.
func (e *entities) as(alias string) {
	if e.alias != alias {
		e.alias, e.hasKey = alias, false
	}
}

// aliasesOf yields each alias of the CMK, or "" if it has none.
func aliasesOf(r *vault.Request) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(r.Alias) {
			return
		}
		for _, alias := range r.OtherAliases {
			if !yield(alias) {
				return
			}
		}
	}
}

// aliasSet returns all aliases of the CMK as a set.
func aliasSet(r *vault.Request) types.Set {
	var all []types.Value
	for _, alias := range r.Aliases() {
		all = append(all, types.String(alias))
	}
	return types.NewSet(all...)
}

// mapEntity makes the entity of a map in at, unless it was made before.
func mapEntity(at *types.Entity, uid types.EntityUID, m map[string]string) types.Entity {
	if at.UID != uid {
		*at = types.Entity{UID: uid, Tags: record(m)}
	}
	return *at
}

// record returns a map as a record.
func record(m map[string]string) types.Record {
	if len(m) == 0 {
		return types.Record{}
	}
	out := make(types.RecordMap, len(m))
	for name, value := range m {
		out[types.String(name)] = types.String(value)
	}
	return types.NewRecord(out)
}

// keyName returns the id of the entity for the CMK. A name that is not an id is that of a CMK
// that does not exist.
func keyName(r *vault.Request) string {
	if r.Key != "" {
		return r.Key
	}
	return r.Alias
}

// request returns a request in the form of Cedar. The context is empty if no policy of the
// set reads it. Without the time, the context is usually that of the last request.
func (s *ruleSet) request(r *vault.Request) cedar.Request {
	q := cedarRequest(r)
	if !s.uses.context {
		return q
	}
	if last := s.lastContext.Load(); last != nil && !s.uses.time && last.reason == r.Reason && last.newAlias == r.NewAlias && last.newDriver == r.Driver && last.resource == r.Resource && last.recipient == r.Recipient && last.subject == r.Subject && last.approves == r.Approves && last.dataKey == r.DataKey && last.dataKeyName == r.DataKeyName {
		q.Context = last.record
		return q
	}
	q.Context = cedarContext(r)
	if !s.uses.time {
		s.lastContext.Store(&requestContext{r.Reason, r.NewAlias, r.Driver, r.Resource, r.Recipient, r.Subject, r.Approves, r.DataKey, r.DataKeyName, q.Context})
	}
	return q
}

// requestContext is a context without the time.
type requestContext struct {
	reason, newAlias, newDriver, resource, recipient, subject string

	approves             vault.Operation
	dataKey, dataKeyName string

	record types.Record
}

// cedarRequest returns a request without its context.
func cedarRequest(r *vault.Request) cedar.Request {
	action := types.NewEntityUID(typeAction, types.String(r.Operation))
	return cedar.Request{
		Principal: types.NewEntityUID(typePrincipal, types.String(r.Principal)), Action: action,
		Resource: resourceOf(r, onVault(action)),
	}
}

// resourceOf returns the resource of a request. onVault reports whether its operation acts on
// the whole vault.
func resourceOf(r *vault.Request, onVault bool) types.EntityUID {
	if onVault || keyName(r) == "" && (r.Operation == vault.OpApprove || r.Operation == vault.OpDryRunFor) {
		return theVault
	}
	return types.NewEntityUID(typeKey, types.String(keyName(r)))
}

// cedarContext returns the context of a request.
func cedarContext(r *vault.Request) types.Record {
	return types.NewRecord(types.RecordMap{
		"reason": types.String(r.Reason), "time": types.NewDatetime(r.Time), "encryptionContext": encryptionContext,
		"newAlias": types.String(r.NewAlias), "newTags": newTags, "newDriver": types.String(r.Driver),
		"boundResource": types.String(r.Resource), "recipient": types.String(r.Recipient),
		"dataKey": types.String(r.DataKey), "dataKeyName": types.String(r.DataKeyName),
		"subject": types.String(r.Subject), "approves": types.String(r.Approves),
	})
}

// onVault reports whether the schema applies an action to the whole vault.
func onVault(action types.EntityUID) bool {
	a := loadSchema().Actions[action]
	return a.AppliesTo != nil && len(a.AppliesTo.Resources) == 1 && a.AppliesTo.Resources[0] == typeVault
}
