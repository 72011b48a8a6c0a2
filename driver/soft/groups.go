package soft

import (
	"errors"
	"fmt"
	"strings"

	"strongroom.example/internal/suite"
)

// A code is 256 bits as 52 characters of Crockford's base 32, in 13 groups of 4
// characters and a check character. The 4 unused bits are zero.
const (
	codeSecret = 32
	codeGroups = 13
	groupData  = 4
	groupSize  = groupData + 1
	alphabet   = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// A MistypedError reports which group of a recovery code is mistyped. It does not hold
// the typed text.
type MistypedError struct {
	// Group counts from 1, as printed. It is 0 if the code has too many or too few
	// characters.
	Group int
}

// Error returns the number of the group.
func (e *MistypedError) Error() string {
	if e.Group == 0 {
		return fmt.Sprintf("a recovery code has %d groups of %d characters", codeGroups, groupSize)
	}
	return fmt.Sprintf("group %d of the recovery code is mistyped", e.Group)
}

var errSymbol = errors.New("not a character of a recovery code")

// symbolValue parses one character as an element of GF(32).
func symbolValue(c byte) (byte, error) {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch c {
	case 'O':
		c = '0'
	case 'I', 'L':
		c = '1'
	}
	if n := strings.IndexByte(alphabet, c); n >= 0 {
		return byte(n), nil
	}
	return 0, errSymbol
}

// double multiplies by x in GF(32), modulo x^5 + x^2 + 1.
func double(v byte) byte {
	v <<= 1
	return v ^ v>>5*0b100101
}

// checkSymbol returns the last symbol of a group. Each position has another weight, so
// that one wrong character and two swapped characters are always detected. The number of
// the group is included, so that swapped groups are detected too.
func checkSymbol(data []byte, group int) byte {
	sum := byte(group)
	for _, v := range data {
		sum = double(sum ^ v)
	}
	return sum
}

// appendGroups appends the code for a secret of codeSecret bytes.
func appendGroups(dst, secret []byte) []byte {
	symbols := toSymbols(secret)
	defer suite.Wipe(symbols)
	for g := range codeGroups {
		if g > 0 {
			dst = append(dst, '-')
		}
		data := symbols[g*groupData:][:groupData]
		for _, v := range data {
			dst = append(dst, alphabet[v])
		}
		dst = append(dst, alphabet[checkSymbol(data, g)])
	}
	return dst
}

// decodeGroups decodes a code as a person types it.
func decodeGroups(text []byte) ([]byte, error) {
	typed := make([]byte, 0, codeGroups*groupSize)
	defer func() { suite.Wipe(typed) }()
	for _, c := range text {
		if strings.IndexByte(" -\t\r\n", c) >= 0 {
			continue
		}
		if len(typed) == cap(typed) {
			return nil, &MistypedError{}
		}
		typed = append(typed, c)
	}
	if len(typed) != cap(typed) {
		return nil, &MistypedError{}
	}
	symbols := make([]byte, 0, codeGroups*groupData)
	defer func() { suite.Wipe(symbols) }()
	for g := range codeGroups {
		var ok bool
		if symbols, ok = appendSymbols(symbols, typed[g*groupSize:][:groupSize], g); !ok {
			return nil, &MistypedError{Group: g + 1}
		}
	}
	return fromSymbols(symbols)
}

// appendSymbols decodes one group.
func appendSymbols(dst, typed []byte, group int) ([]byte, bool) {
	start := len(dst)
	for _, c := range typed[:groupData] {
		v, err := symbolValue(c)
		if err != nil {
			return dst, false
		}
		dst = append(dst, v)
	}
	check, err := symbolValue(typed[groupData])
	return dst, err == nil && check == checkSymbol(dst[start:], group)
}

// toSymbols splits a secret into 5-bit symbols, the highest bits first.
func toSymbols(secret []byte) []byte {
	symbols := make([]byte, 0, codeGroups*groupData)
	var acc, bits uint
	for _, b := range secret {
		acc, bits = acc<<8|uint(b), bits+8
		for bits >= 5 {
			bits -= 5
			symbols = append(symbols, byte(acc>>bits)&31)
		}
		acc &= 1<<bits - 1
	}
	return append(symbols, byte(acc<<(5-bits))&31)
}

// fromSymbols is the inverse of toSymbols. The unused bits must be zero.
func fromSymbols(symbols []byte) ([]byte, error) {
	secret := make([]byte, 0, codeSecret)
	var acc, bits uint
	for _, v := range symbols {
		acc, bits = acc<<5|uint(v), bits+5
		if bits >= 8 {
			bits -= 8
			secret = append(secret, byte(acc>>bits))
		}
		acc &= 1<<bits - 1
	}
	if acc != 0 {
		suite.Wipe(secret)
		return nil, &MistypedError{Group: codeGroups}
	}
	return secret, nil
}
