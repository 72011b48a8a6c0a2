package doctor

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// The ages beyond which an export and a backup are old.
const (
	oldExport = 31 * 24 * time.Hour
	oldBackup = 8 * 24 * time.Hour
)

// Vault looks at the open vault of a session. It verifies all stored data.
func Vault(ctx context.Context, s *session.Session, now time.Time) []Finding {
	list := []Finding{stored(ctx, s.Client()), clock(s.Vault.Health())}
	list = append(list, protectors(ctx, s)...)
	list = append(list, keys(ctx, s.Client(), now)...)
	list = append(list, deviceKeys(ctx, s)...)
	return append(list, log(ctx, s.Client(), now)...)
}

func stored(ctx context.Context, c vault.Client) Finding {
	err := c.Check(ctx)
	if err != nil {
		return Finding{Fail, "stored data", err.Error(), "copy the directory, then use strongroom repair, or restore a backup"}
	}
	return Finding{OK, "stored data", "every record is verified", ""}
}

func clock(h vault.Health) Finding {
	if h.TimeInDoubt {
		return Finding{Warn, "clock", "the time of day is more than a day ahead of what the vault expected",
			"set the clock right; if it is right, confirm it: strongroom doctor --confirm-time. Until then nothing that expired is destroyed"}
	}
	return Finding{OK, "clock", "it fits the times that the vault recorded", ""}
}

// protectors looks for a vault that is lost with this machine, and for key files that are
// stored with the vault.
func protectors(ctx context.Context, s *session.Session) (list []Finding) {
	all, err := s.Client().ListProtectors(ctx)
	if err != nil {
		return []Finding{{Fail, "protectors", err.Error(), "see the error"}}
	}
	bound := !slices.ContainsFunc(all, func(p vault.Protector) bool { return !p.MachineBound })
	switch {
	case bound:
		list = append(list, Finding{Warn, "protectors", "every protector is bound to this machine: if it fails, the vault is lost",
			"strongroom protectors add new-recovery-code, and keep the code elsewhere"})
	case len(all) == 1:
		list = append(list, Finding{Warn, "protectors", "the vault has one protector: if that is lost, the vault is lost",
			"strongroom protectors add new-recovery-code, and keep the code elsewhere"})
	default:
		list = append(list, Finding{OK, "protectors", fmt.Sprintf("%d open the vault, not all of them bound to this machine", len(all)), ""})
	}
	for _, spec := range s.Unlock {
		path, ok := strings.CutPrefix(spec, "key-file:")
		if inside, err := filepath.Rel(s.Directory, path); ok && err == nil && !strings.HasPrefix(inside, "..") {
			list = append(list, Finding{Warn, "protectors", "the key file is in the vault's own directory", "move it to another disk: whoever copies the directory has the key"})
		}
	}
	if s.VaultID == "" && s.LogKey == "" {
		list = append(list, Finding{Note, "pins", "the configuration does not pin the vault",
			"write vault_id and log_key, which strongroom status prints, to the configuration file"})
	}
	return list
}

// keys looks for keys that are about to be destroyed, and for those that cannot be used.
func keys(ctx context.Context, c vault.Client, now time.Time) (list []Finding) {
	number, unfinished := 0, 0
	for k, err := range c.ListKeys(ctx, vault.KeyFilter{}) {
		if err != nil {
			return append(list, Finding{Fail, "keys", err.Error(), "see the error"})
		}
		number++
		name := k.ID
		if k.Alias != "" {
			name = k.Alias
		}
		switch {
		case k.State == vault.Creating:
			unfinished++
		case k.State == vault.PendingDeletion:
			list = append(list, Finding{Note, "keys", fmt.Sprintf("%s will be destroyed on %s", name, k.DeletionDate.UTC().Format(time.DateOnly)), "strongroom keys cancel takes it back"})
		case !k.ValidTo.IsZero() && k.State == vault.Enabled && k.ValidTo.Sub(now) < 7*24*time.Hour:
			list = append(list, Finding{Warn, "keys", fmt.Sprintf("the material of %s expires on %s", name, k.ValidTo.UTC().Format(time.DateOnly)), "import it again with a later time"})
		}
	}
	if unfinished > 0 {
		list = append(list, Finding{Warn, "keys", fmt.Sprintf("the creation of %d keys is unfinished", unfinished), "make their device available: the vault takes them back"})
	}
	return append(list, Finding{OK, "keys", fmt.Sprintf("%d keys", number), ""})
}

// log looks in the audit log for unfinished operations, for the last export and the last
// backup, and for records of the future.
func log(ctx context.Context, c vault.Client, now time.Time) (list []Finding) {
	open := make(map[uint64]audit.Record)
	var exported, backedUp, newest, first time.Time
	for r, err := range c.AuditRecords(ctx, audit.Filter{}) {
		if err != nil {
			return []Finding{{Fail, "audit log", err.Error(), "strongroom repair, or restore a backup"}}
		}
		if first.IsZero() {
			first = r.Time
		}
		if r.Time.After(newest) {
			newest = r.Time
		}
		switch {
		case r.Phase == audit.Intent:
			open[r.Seq] = r
		case r.Phase == audit.Outcome:
			delete(open, r.Intent)
		}
		if r.Result == audit.OK {
			switch vault.Operation(r.Operation) {
			case vault.OpExportAudit:
				exported = r.Time
			case vault.OpBackup:
				backedUp = r.Time
			}
		}
	}
	list = append(list, unfinishedOperations(open), age("export", exported, first, now, oldExport), age("backup", backedUp, first, now, oldBackup))
	if ahead := newest.Sub(now); ahead > time.Minute {
		list = append(list, Finding{Warn, "clock", fmt.Sprintf("the clock is %v behind the newest audit record", ahead.Round(time.Second)), "set the clock right"})
	}
	return list
}

func unfinishedOperations(open map[uint64]audit.Record) Finding {
	if len(open) == 0 {
		return Finding{OK, "audit log", "every operation has ended", ""}
	}
	oldest := slices.Min(slices.Collect(maps.Keys(open)))
	r := open[oldest]
	return Finding{Warn, "audit log", fmt.Sprintf("%d operations are unfinished; the first is %s in record %d, device %s", len(open), r.Operation, r.Seq, r.Driver),
		"make the device available: the vault ends them when it is open"}
}

// age looks whether the last copy of a kind is older than old.
func age(kind string, last, first, now time.Time, old time.Duration) Finding {
	remedy := map[string]string{
		"export": "strongroom audit export, to a place outside this machine",
		"backup": "strongroom backup, to a place outside this machine",
	}[kind]
	switch {
	case last.IsZero() && now.Sub(first) < old:
		return Finding{Note, kind, "there is none yet", remedy}
	case last.IsZero():
		return Finding{Warn, kind, "there is none", remedy}
	case now.Sub(last) > old:
		return Finding{Warn, kind, fmt.Sprintf("the last is %d days old", int(now.Sub(last).Hours()/24)), remedy}
	}
	return Finding{OK, kind, "the last is of " + last.UTC().Format(time.DateTime) + "Z", ""}
}
