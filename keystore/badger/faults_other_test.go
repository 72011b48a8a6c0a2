//go:build !linux

package badger

const childFaults = "STRONGROOM_FAULTS_CHILD"

func workUnderFaults(string) int { return 3 }

const childOpens = "STRONGROOM_OPEN_CHILD"

func openAndClose(string) int { return 3 }
