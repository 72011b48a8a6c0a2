//go:build !linux

package badger

const childFaults = "STRONGROOM_FAULTS_CHILD"

func workUnderFaults(string) int { return 3 }
