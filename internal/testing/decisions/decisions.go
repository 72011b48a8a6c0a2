// Package decisions compares the decisions of an Authorizer with an audit log, so that a test
// of anything also shows that no decision is missing on record.
package decisions

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"strongroom.example/audit"
)

// byDesign are the functions of package vault whose questions have no record of their own, with
// what is on record instead.
var byDesign = map[string]string{
	"vault.(*keyListing).take":              "a listing has the number of keys that it withheld",
	"vault.(*dataKeyListing).take":          "a listing has the number of data keys that it withheld",
	"vault.Client.resolveKeys":              "the record of the grant has the error",
	"vault.Client.permitNaming":             "the record of CreateKey has a denial of the alias or the tags",
	"vault.Client.permitShortening":         "the record of the import has a denial of the earlier expiry",
	"vault.Client.permitWithdrawal":         "the record of WithdrawApproval has a denial of PutPolicy",
	"vault.Client.DryRunFor":                "the record of DryRunFor has the decision in its details",
	"vault.Client.checkPolicy":              "policies that are not in force are tried",
	"vault.(*Vault).demandRestoreApprovals": "the record of the restoration",
	"vault.(*decision).decideAgain":         "a decision is repeated right before its record",
}

// instead names the operation that is on record for one that was allowed and went no further:
// a ReEncrypt that fails has the record of the CMK that it failed for.
var instead = map[string]string{"ReEncryptFrom": "ReEncryptTo", "ReEncryptTo": "ReEncryptFrom"}

// kind is what decisions and records are counted by.
type kind struct{ principal, operation, decision string }

// A Counter counts the decisions of one vault. It is safe for concurrent use.
type Counter struct {
	mu    sync.Mutex
	asked map[kind]uint64
	apart map[string]uint64 // decisions by a function of byDesign
}

// New returns a Counter.
func New() *Counter { return &Counter{asked: map[kind]uint64{}, apart: map[string]uint64{}} }

// Decided counts a decision. The Authorizer must call it from Authorize.
func (c *Counter) Decided(principal, operation string, allow bool) {
	frames := runtime.CallersFrames(callers())
	apart := ""
	for more := true; more && apart == ""; {
		var f runtime.Frame
		f, more = frames.Next()
		name := f.Function[strings.LastIndexByte(f.Function, '/')+1:]
		for function := range byDesign {
			// A function literal has the name of its function and a suffix.
			if name == function || strings.HasPrefix(name, function+".") {
				apart = function
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if apart != "" {
		c.apart[apart]++
		return
	}
	decision := "DENY"
	if allow {
		decision = "ALLOW"
	}
	c.asked[kind{principal, operation, decision}]++
}

// callers returns the program counters of the stack.
func callers() []uintptr {
	stack := make([]uintptr, 64)
	return stack[:runtime.Callers(3, stack)]
}

// Apart returns how many decisions had no record of their own by design, by the function that
// asked.
func (c *Counter) Apart() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.apart)
}

// A Log collects the records of a vault's whole log.
type Log struct {
	recorded map[kind]uint64
	// several is the number of counted failures whose operation or principal is not on record,
	// because there were too many kinds.
	several uint64
}

// Add adds a record.
func (l *Log) Add(r audit.Record) {
	if l.recorded == nil {
		l.recorded = map[kind]uint64{}
	}
	operation := r.Operation
	if tried, ok := r.Detail["operation"]; ok && operation == "DryRun" {
		operation = tried
	}
	if strings.HasPrefix(r.Operation, "(") || strings.HasPrefix(r.Principal, "(") {
		l.several += max(1, r.Count)
	}
	l.recorded[kind{r.Principal, operation, r.Decision}] += max(1, r.Count)
}

// Missing returns the decisions that are not on record: each denial must be, and of the kind of
// each decision that allows there must be a record, because a decision that allows is repeated
// after a conflict.
func (c *Counter) Missing(l *Log) (missing []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	several := l.several
	for k, asked := range c.asked {
		recorded := l.recorded[k]
		if k.decision == "ALLOW" {
			// A decision that allows may end in a denial, if a later one of the operation denies.
			recorded += l.recorded[kind{k.principal, k.operation, "DENY"}]
			if also, ok := instead[k.operation]; ok {
				recorded += l.recorded[kind{k.principal, also, "ALLOW"}] + l.recorded[kind{k.principal, also, "DENY"}]
			}
			asked = min(asked, 1)
		}
		if asked <= recorded {
			continue
		}
		if lack := asked - recorded; lack <= several {
			several -= lack
			continue
		}
		missing = append(missing, fmt.Sprintf("%s of %s by %q: %d decisions, %d records", k.decision, k.operation, k.principal, asked, recorded))
	}
	slices.Sort(missing)
	return missing
}
