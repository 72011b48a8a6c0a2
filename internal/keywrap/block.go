package keywrap

import (
	"crypto/aes"
	"crypto/cipher"
	"reflect"
	"unsafe"

	"strongroom.example/internal/suite"
)

// newBlock returns AES under key. The caller wipes it with wipeBlock.
func newBlock(key []byte) (cipher.Block, error) { return aes.NewCipher(key) }

// wipeBlock zeroes the round keys. The library offers no way to do so; its block is
// a pointer to a struct of plain numbers, which a test checks.
func wipeBlock(block cipher.Block) {
	suite.Wipe(blockBytes(block))
}

// blockBytes returns the memory that a block's pointer points to.
func blockBytes(block cipher.Block) []byte {
	state := reflect.ValueOf(block).Elem()
	return unsafe.Slice((*byte)(unsafe.Pointer(state.UnsafeAddr())), state.Type().Size())
}
