package vault

import "fmt"

// A KeyState is where a CMK stands in its life.
type KeyState string

// The states.
const (
	// Creating: its material is being made. It is listed, and does nothing yet. If that is
	// cut off it is taken back, as soon as its driver is there.
	Creating KeyState = "Creating"
	// Enabled: it does all that its usage allows.
	Enabled KeyState = "Enabled"
	// Disabled: it does nothing until it is enabled again.
	Disabled KeyState = "Disabled"
	// PendingImport: its material was not imported yet, was deleted, or has expired.
	PendingImport KeyState = "PendingImport"
	// PendingDeletion: it will be destroyed. No operation leads here yet.
	PendingDeletion KeyState = "PendingDeletion"
	// Archived: it decrypts and verifies, no more. No operation leads here yet.
	Archived KeyState = "Archived"
	// Unavailable: its material is out of reach. No operation leads here yet.
	Unavailable KeyState = "Unavailable"
	// Destroyed: its material is gone for good. No operation leads here yet.
	Destroyed KeyState = "Destroyed"
)

// states is the order of the columns below.
var states = [...]KeyState{Creating, Enabled, Disabled, PendingImport, PendingDeletion, Archived, Unavailable, Destroyed}

// stateTable says which operation each state allows; + is yes. An operation that
// is not listed does not act on one CMK.
//
// The columns: Creating, Enabled, Disabled, PendingImport, PendingDeletion,
// Archived, Unavailable, Destroyed.
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

// allows reports whether a CMK in state s takes operation op.
func (s KeyState) allows(op Operation) bool {
	row, listed := stateTable[op]
	for i, column := range states {
		if column == s {
			return listed && row[i] == '+'
		}
	}
	return false
}

// remedies say what leads out of a state.
var remedies = map[KeyState]string{
	Creating: "CreateKey ends that, or its driver once it is there; DeleteAlias frees the alias until then",
	Disabled: "EnableKeys ends that", PendingImport: "ImportKeyMaterial ends that",
}

// refuse returns the error of an operation that a CMK's state does not allow.
func (s KeyState) refuse(op Operation, key string) error {
	e := &Error{Op: op, Key: key, State: s, Err: ErrKeyState}
	if remedy, ok := remedies[s]; ok {
		e.Err = fmt.Errorf("%w; %s", ErrKeyState, remedy)
	}
	return e
}
