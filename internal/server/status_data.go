package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"strongroom.example/audit"
	"strongroom.example/vault"
)

// The status page shows at most so many keys, coming events and audit records.
const (
	maxKeys   = 100 // also the most that one DescribeKeys takes
	maxEvents = 20
	maxTail   = 40
	// readTail is how many records are read to find maxTail of other principals.
	readTail = 500
	// usesAge is how long the last uses of the keys are shown again, because DescribeKeys is a
	// record of the audit log for each key.
	usesAge = time.Minute
)

// The texts of an event and of a result that have a colour.
const (
	destroyed = "destroyed"
	intent    = "intent"
)

// A statusView is what the status page shows.
type statusView struct {
	Made                                 string
	Vault, LogKey, Edition, Module       string
	Ready                                bool
	Findings                             []finding
	Denied                               []string
	States                               []count
	Keys                                 []keyRow
	MoreKeys                             int
	Events                               []event
	Protectors                           []vault.Protector
	Drivers                              []driverRow
	Audit                                []auditRow
	Scrub, ScrubNext, Backup, BackupNext string
}

type count struct {
	State vault.KeyState
	N     int
}

type keyRow struct {
	ID, Alias, State, Usage, Spec, Level, Driver, LastUse, Next string
	Version                                                     uint32
}

type driverRow struct{ Name, Kind, Level, Model string }

type auditRow struct {
	Seq                                             uint64
	Time, Principal, Operation, Key, Result, Detail string
}

// An event is something that will happen to a key by itself.
type event struct {
	Time      time.Time
	When, In  string
	What, Key string
}

// read reads what the page shows. An operation that is denied leaves its part out.
func (s *StatusServer) read(ctx context.Context) statusView {
	v, now := s.cfg.Vault, s.cfg.Now()
	c := v.As(s.cfg.Principal)
	h := v.Health()
	out := statusView{
		Made: clockText(now), Vault: v.ID(), LogKey: v.LogKey(), Edition: v.Edition().String(), Module: v.EditionReport().Module,
		Ready: s.cfg.Ready == nil || s.cfg.Ready(), Findings: findings(h),
		Scrub: clockText(h.Scrub.Last), ScrubNext: clockText(h.Scrub.Next), Backup: clockText(h.Backup.Last), BackupNext: clockText(h.Backup.Next),
	}
	for _, d := range v.Capabilities() {
		out.Drivers = append(out.Drivers, driverRow{d.Name, d.Kind, string(d.Level), d.Device.Model})
	}
	out.note("keys", out.readKeys(ctx, c, now))
	out.note("last uses", s.readUses(ctx, c, &out))
	protectors, err := c.ListProtectors(ctx)
	out.Protectors = protectors
	out.note("protectors", err)
	records, err := c.LastAuditRecords(ctx, readTail)
	out.note("audit log", err)
	for _, r := range slices.Backward(records) {
		if r.Principal != string(s.cfg.Principal) && len(out.Audit) < maxTail {
			out.Audit = append(out.Audit, auditRowOf(r))
		}
	}
	return out
}

// readUses sets the last uses of the keys that are shown. The caller holds s.mu.
func (s *StatusServer) readUses(ctx context.Context, c vault.Client, out *statusView) error {
	if time.Since(s.usesRead) >= usesAge && len(out.Keys) > 0 {
		var ids []string
		for _, k := range out.Keys {
			ids = append(ids, k.ID)
		}
		keys, err := c.DescribeKeys(ctx, ids...)
		if err != nil {
			return err
		}
		s.uses, s.usesRead = make(map[string]time.Time), time.Now()
		for _, k := range keys {
			if k.Uses != nil {
				s.uses[k.ID] = later(k.Uses.LastProtected, k.Uses.LastProcessed)
			}
		}
	}
	for i := range out.Keys {
		out.Keys[i].LastUse = clockText(s.uses[out.Keys[i].ID])
	}
	return nil
}

// note notes that a part is missing, and why.
func (out *statusView) note(part string, err error) {
	switch {
	case err == nil:
	case errors.Is(err, vault.ErrDenied):
		out.Denied = append(out.Denied, part+": the policies of the vault do not permit the principal of this page to read it")
	default:
		out.Denied = append(out.Denied, part+": it could not be read")
	}
}

// readKeys reads all keys, and what will happen to them.
func (out *statusView) readKeys(ctx context.Context, c vault.Client, now time.Time) error {
	states := make(map[vault.KeyState]int)
	for k, err := range c.ListKeys(ctx, vault.KeyFilter{}) {
		if err != nil {
			return err
		}
		states[k.State]++
		coming := eventsOf(k, now)
		out.Events = append(out.Events, coming...)
		if len(out.Keys) >= maxKeys {
			out.MoreKeys++
			continue
		}
		row := keyRow{ID: k.ID, Alias: k.Alias, State: string(k.State), Usage: string(k.Usage), Spec: string(k.Spec), Level: string(k.Level),
			Driver: k.Driver, Version: k.Version}
		if len(coming) > 0 {
			row.Next = coming[0].What + " " + coming[0].In
		}
		out.Keys = append(out.Keys, row)
	}
	for _, state := range slices.Sorted(maps.Keys(states)) {
		out.States = append(out.States, count{state, states[state]})
	}
	slices.SortStableFunc(out.Events, func(a, b event) int { return a.Time.Compare(b.Time) })
	out.Events = out.Events[:min(len(out.Events), maxEvents)]
	return nil
}

// eventsOf returns what will happen to a key by itself, the next first.
func eventsOf(k vault.Key, now time.Time) (out []event) {
	add := func(t time.Time, what string) {
		if !t.IsZero() {
			out = append(out, event{t, clockText(t), inText(t.Sub(now)), what, cmp.Or(k.Alias, k.ID)})
		}
	}
	switch k.State {
	case vault.PendingDeletion:
		add(k.DeletionDate, destroyed)
	case vault.Enabled, vault.Disabled, vault.Archived:
		add(k.ValidTo, "material expires")
		if k.State == vault.Enabled {
			add(k.NextRotation, "rotates")
		}
	}
	slices.SortStableFunc(out, func(a, b event) int { return a.Time.Compare(b.Time) })
	return out
}

func auditRowOf(r audit.Record) auditRow {
	result := string(r.Result)
	if r.Phase == audit.Intent {
		result = intent
	}
	var detail []string
	if r.Error != "" {
		detail = append(detail, r.Error)
	}
	if r.Count > 1 {
		detail = append(detail, fmt.Sprintf("%d times", r.Count))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Detail)) {
		detail = append(detail, name+"="+r.Detail[name])
	}
	return auditRow{r.Seq, clockText(r.Time), r.Principal, r.Operation, short(r.Key), result, strings.Join(detail, " ")}
}

// short returns the beginning of an id, because the tail has one in each row.
func short(id string) string {
	if len(id) > 8 {
		return id[:8] + "…"
	}
	return id
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// clockText returns a time for people, or a dash for none.
func clockText(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// inText returns a time from now on for people.
func inText(d time.Duration) string {
	switch {
	case d <= 0:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("in %d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("in %d h", d/time.Hour)
	}
	return fmt.Sprintf("in %d days", d/(24*time.Hour))
}
