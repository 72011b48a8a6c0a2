package cli

import (
	"context"
	"errors"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// A follower prints the records of a log as other processes write them. Because one process
// at a time has the vault open, it opens and closes the vault for each look, and leaves out
// the records of its own looks.
type follower struct {
	session *session.Session
	filter  audit.Filter
	print   recordPrinter
}

// run looks at an interval, until ctx is done. A look while the vault is in use is left
// out.
func (f follower) run(ctx context.Context, every time.Duration) error {
	next := uint64(0) // the first record that was not seen yet
	for first := true; ; first = false {
		err := f.session.Open(ctx)
		if errors.Is(err, vault.ErrInUse) && !first {
			err = nil
		} else if err == nil {
			if f.filter.Key, err = keyID(ctx, f.session, f.filter.Key); err == nil {
				next, err = f.look(ctx, next, first)
			}
			err = errors.Join(err, f.session.Release())
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

// look prints the records from number next on, and returns the number after the last one of
// this process: its OpenVault is the newest, and the CloseVault that follows is skipped by
// the next look.
func (f follower) look(ctx context.Context, next uint64, first bool) (uint64, error) {
	var news []audit.Record
	own := next
	for r, err := range f.session.Client().AuditRecords(ctx, audit.Filter{}) {
		if err != nil {
			return next, err
		}
		if r.Seq < next {
			continue
		}
		news = append(news, r)
		if r.Operation == string(vault.OpOpenVault) {
			own = r.Seq
		}
	}
	end := next
	for i, r := range news {
		end = r.Seq + 1
		left := !first && i == 0 && r.Operation == string(vault.OpCloseVault)
		if r.Seq >= own || left || !f.filter.Match(r) {
			continue
		}
		if err := f.print.record(r); err != nil {
			return end, err
		}
	}
	return end + 1, f.print.flush() // the record of this reading follows the last
}
