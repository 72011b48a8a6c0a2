package vault

// A KeyState is where a CMK stands in its life.
type KeyState string

// The states.
const (
	Creating        KeyState = "Creating"
	Enabled         KeyState = "Enabled"
	Disabled        KeyState = "Disabled"
	PendingImport   KeyState = "PendingImport"
	PendingDeletion KeyState = "PendingDeletion"
	Archived        KeyState = "Archived"
	Unavailable     KeyState = "Unavailable"
	Destroyed       KeyState = "Destroyed"
)

// states is the order of the columns below.
var states = [...]KeyState{Creating, Enabled, Disabled, PendingImport, PendingDeletion, Archived, Unavailable, Destroyed}

// stateTable says which operation each state allows; + is yes. An operation that
// is not listed does not act on one CMK.
//
// The columns: Creating, Enabled, Disabled, PendingImport, PendingDeletion,
// Archived, Unavailable, Destroyed.
var stateTable = map[Operation][len(states)]byte{
	//                          Cr   En   Di   PI   PD   Ar   Un   De
	OpDescribeKey:               {'+', '+', '+', '+', '+', '+', '+', '+'},
	OpListKeyVersions:           {'+', '+', '+', '+', '+', '+', '+', '+'},
	OpSetAlias:                  {'-', '+', '+', '+', '-', '+', '+', '-'},
	OpDeleteAlias:               {'-', '+', '+', '+', '-', '+', '+', '-'},
	OpSetDescription:            {'-', '+', '+', '+', '-', '+', '+', '-'},
	OpTagKey:                    {'-', '+', '+', '+', '+', '+', '+', '-'},
	OpUntagKey:                  {'-', '+', '+', '+', '+', '+', '+', '-'},
	OpEnableKey:                 {'-', '+', '+', '-', '-', '-', '-', '-'},
	OpDisableKey:                {'-', '+', '+', '-', '-', '-', '-', '-'},
	OpRotateKey:                 {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpMoveKey:                   {'-', '+', '+', '-', '-', '+', '-', '-'},
	OpParametersForImport:       {'-', '+', '-', '+', '-', '-', '-', '-'},
	OpImportKeyMaterial:         {'-', '+', '-', '+', '-', '-', '-', '-'},
	OpDeleteImportedKeyMaterial: {'-', '+', '+', '-', '-', '+', '-', '-'},
	OpEncrypt:                   {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpDecrypt:                   {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpReEncryptFrom:             {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpReEncryptTo:               {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpGenerateDataKey:           {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpOpenDataKey:               {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpPublicKey:                 {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpSign:                      {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpVerify:                    {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpAsymmetricDecrypt:         {'-', '+', '-', '-', '-', '+', '-', '-'},
	OpGenerateMac:               {'-', '+', '-', '-', '-', '-', '-', '-'},
	OpVerifyMac:                 {'-', '+', '-', '-', '-', '+', '-', '-'},
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
