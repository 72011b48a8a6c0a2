// Package object makes, finds, checks, uses and destroys the keys of a token, in a session
// that package session provides. It has the templates of keys, the profiles of kinds of
// token, and the sentinel key.
package object

import "strongroom.example/driver"

// Reserved is the prefix of the ids that belong to the driver: those of sentinels and of
// protectors' keys. The driver's ListKeys omits them.
const Reserved = "strong"

// IsReserved reports whether an id belongs to the driver.
func IsReserved(id driver.MaterialID) bool { return string(id[:len(Reserved)]) == Reserved }

// SentinelID returns the id of the sentinel.
func SentinelID() driver.MaterialID { return driver.MaterialID([]byte("strongroom-watch")) }
