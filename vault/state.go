package vault

import "fmt"

// A KeyState is the state of a CMK.
type KeyState string

// The states.
const (
	// Creating: its material is being made. The CMK is listed but cannot be used. If the
	// creation is interrupted, it is rolled back once the driver is available.
	Creating KeyState = "Creating"
	// Enabled: all operations of its usage are allowed.
	Enabled KeyState = "Enabled"
	// Disabled: the CMK cannot be used until it is enabled again.
	Disabled KeyState = "Disabled"
	// PendingImport: its material was not imported yet, was deleted, or has expired.
	PendingImport KeyState = "PendingImport"
	// PendingDeletion: the CMK will be destroyed. No operation leads to this state yet.
	PendingDeletion KeyState = "PendingDeletion"
	// Archived: only decryption and verification are allowed. No operation leads to this
	// state yet.
	Archived KeyState = "Archived"
	// Unavailable: its material cannot be reached. No operation leads to this state yet.
	Unavailable KeyState = "Unavailable"
	// Destroyed: its material was destroyed. No operation leads to this state yet.
	Destroyed KeyState = "Destroyed"
)

// states lists the states in the order of the columns below.
var states = [...]KeyState{Creating, Enabled, Disabled, PendingImport, PendingDeletion, Archived, Unavailable, Destroyed}

// stateTable lists the operations that each state allows; + means allowed. An operation
// that is not listed does not act on one CMK.
//
// The columns: Creating, Enabled, Disabled, PendingImport, PendingDeletion, Archived,
// Unavailable, Destroyed.
var stateTable = map[Operation][len(states)]byte{
	//                                Cr   En   Di   PI   PD   Ar   Un   De
	OpDescribeKey:                     {'+', '+', '+', '+', '+', '+', '+', '+'},
	OpListKeyVersions:                 {'+', '+', '+', '+', '+', '+', '+', '+'},
	OpSetAlias:                        {'-', '+', '+', '+', '-', '+', '+', '-'},
	OpDeleteAlias:                     {'+', '+', '+', '+', '-', '+', '+', '-'},
	OpSetDescription:                  {'-', '+', '+', '+', '-', '+', '+', '-'},
	OpTagKey:                          {'-', '+', '+', '+', '+', '+', '+', '-'},
	OpUntagKey:                        {'-', '+', '+', '+', '+', '+', '+', '-'},
	OpEnableKey:                       {'-', '+', '+', '-', '-', '-', '-', '-'},
	OpDisableKey:                      {'-', '+', '+', '-', '-', '-', '-', '-'},
	OpRotateKey:                       {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpMoveKey:                         {'-', '+', '+', '-', '-', '+', '-', '-'},
	OpParametersForImport:             {'-', '+', '-', '+', '-', '-', '-', '-'},
	OpImportKeyMaterial:               {'-', '+', '-', '+', '-', '-', '-', '-'},
	OpDeleteImportedKeyMaterial:       {'-', '+', '+', '-', '-', '+', '-', '-'},
	OpEncrypt:                         {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpDecrypt:                         {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpReEncryptFrom:                   {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpReEncryptTo:                     {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpGenerateDataKey:                 {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpGenerateDataKeyWithoutPlaintext: {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpOpenDataKey:                     {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpPublicKey:                       {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpSign:                            {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpVerify:                          {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpAsymmetricDecrypt:               {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpGenerateMac:                     {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpVerifyMac:                       {'-', '+', '-', '-', '-', '+', '-', '-'},
}

// allows reports whether state s allows operation op.
func (s KeyState) allows(op Operation) bool {
	row, listed := stateTable[op]
	for i, column := range states {
		if column == s {
			return listed && row[i] == '+'
		}
	}
	return false
}

// remedies says which operation leads out of a state.
var remedies = map[KeyState]string{
	Creating: "CreateKey ends that, or its driver once it is there; DeleteAlias frees the alias until then",
	Disabled: "EnableKeys ends that", PendingImport: "ImportKeyMaterial ends that",
}

// refuse returns the error of an operation that the state does not allow.
func (s KeyState) refuse(op Operation, key string) error {
	e := &Error{Op: op, Key: key, State: s, Err: ErrKeyState}
	if remedy, ok := remedies[s]; ok {
		e.Err = fmt.Errorf("%w; %s", ErrKeyState, remedy)
	}
	return e
}
