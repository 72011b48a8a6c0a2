//go:build !linux

package session

import "fmt"

func inUse(_ string, err error) error { return fmt.Errorf("%w; --wait 30s waits for it", err) }
