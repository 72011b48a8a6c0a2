package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"strongroom.example/audit"
	"strongroom.example/vault"
)

// showAudit prints who did what, exports the audit log and verifies the export offline.
func showAudit(ctx context.Context, v *vault.Vault, clerk vault.Client, work string) error {
	if _, err := v.As("stranger").DescribeKey(ctx, "files"); err == nil {
		return fmt.Errorf("a stranger was let in")
	}
	fmt.Println("\naudit:")
	for r, err := range clerk.AuditRecords(ctx, audit.Filter{}) {
		if err != nil {
			return err
		}
		fmt.Printf("  %3d  %s  %-9s %-16s %-8s %-7s %s\n", r.Seq, r.Time.Format("15:04:05.000"), r.Principal, r.Operation, r.Phase, r.Result, r.Error)
	}
	path := filepath.Join(work, "audit.jsonl")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := clerk.ExportAudit(ctx, f); err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	report, err := audit.VerifyExport(f, v.LogKey())
	if err != nil {
		return err
	}
	fmt.Printf("export of %d records verified against the pinned log key\n", report.Records)
	return nil
}
