// Package strongroom holds nothing but the test that keeps the arrows between the
// packages of this module pointing downward. The public face is package vault.
package strongroom
