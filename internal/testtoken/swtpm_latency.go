package testtoken

import "time"

// DiscreteChip returns how long a command takes on a discrete chip. The values are
// medians that vendors and users have published for several chips. An unlisted command
// takes as long as a short command does on the bus.
func DiscreteChip(command uint32) time.Duration {
	times := map[uint32]time.Duration{
		0x131: 250 * time.Millisecond,  // CreatePrimary, ECC
		0x153: 2500 * time.Millisecond, // Create, RSA-2048
		0x154: 130 * time.Millisecond,  // ECDH_ZGen
		0x155: 15 * time.Millisecond,   // HMAC
		0x157: 60 * time.Millisecond,   // Load
		0x159: 160 * time.Millisecond,  // RSA_Decrypt
		0x15D: 70 * time.Millisecond,   // Sign
		0x161: 30 * time.Millisecond,   // ContextLoad
		0x162: 30 * time.Millisecond,   // ContextSave
		0x176: 130 * time.Millisecond,  // StartAuthSession, salted
	}
	if t, ok := times[command]; ok {
		return t
	}
	return 8 * time.Millisecond
}
