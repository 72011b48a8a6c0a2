package awskms

import (
	"fmt"
	"strings"

	"strongroom.example/vault/internal/keyid"
)

const aliasPrefix = "alias/"

// isRegion reports whether text has only a-z 0-9 and -.
func isRegion(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}

// isAccount reports whether text is the number of an account.
func isAccount(text string) bool {
	return len(text) == 12 && !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

// arn returns the ARN of a resource, which is key/ID or alias/NAME.
func (h *Handler) arn(resource string) string {
	return "arn:aws:kms:" + h.region + ":" + h.account + ":" + resource
}

// keyARN returns the ARN of a CMK.
func (h *Handler) keyARN(id string) string { return h.arn("key/" + id) }

// local returns the resource of an ARN, and text itself if it is no ARN.
func (h *Handler) local(text string) (string, error) {
	if !strings.HasPrefix(text, "arn:") {
		return text, nil
	}
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[2] != service || !strings.HasPrefix(parts[5], "key/") && !strings.HasPrefix(parts[5], aliasPrefix) {
		return "", failure{invalidARN, fmt.Sprintf("%.256q is not the ARN of a key or an alias.", text)}
	}
	if parts[1] != "aws" || parts[3] != h.region || parts[4] != h.account {
		return "", failure{notFound, fmt.Sprintf("The ARN %.256q is not of this vault, whose ARNs begin with %s.", text, h.arn("")[:len(h.arn(""))-1])}
	}
	return strings.TrimPrefix(parts[5], "key/"), nil
}

// name returns what a KeyId names in the vault, an id or an alias.
func (h *Handler) name(text string) (name string, alias bool, err error) {
	if name, err = h.local(text); err != nil {
		return "", false, err
	}
	if name, alias = strings.CutPrefix(name, aliasPrefix); alias {
		return name, true, h.checkAlias(aliasPrefix+name, notFound)
	}
	if _, ok := keyid.Parse(name); !ok {
		return "", false, failure{notFound, fmt.Sprintf("Invalid keyId %.256q.", text)}
	}
	return name, false, nil
}

// checkAlias checks the form of the name of an alias, and fails with code.
func (h *Handler) checkAlias(name, code string) error {
	short, ok := strings.CutPrefix(name, aliasPrefix)
	wrong := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(":/_-", r)
	}
	if !ok || short == "" || len(name) > 256 || strings.ContainsFunc(short, wrong) {
		return failure{code, "The name of an alias is alias/ and A-Z a-z 0-9 : / _ and -, at most 256 characters."}
	}
	if strings.HasPrefix(short, "aws/") {
		return failure{code, "Aliases that begin with alias/aws/ are reserved."}
	}
	return nil
}

// A named is a CMK as a request names it.
type named struct {
	name string // id or alias, for the vault
	id   string // empty if it is not known, because the request has an alias
}

// find returns the CMK that a request names by its id, an ARN or an alias.
func (c call) find(text string) (named, error) {
	name, alias, err := c.handler.name(text)
	if err != nil || alias {
		return named{name: name}, err
	}
	return named{name, name}, nil
}

// identify is like find, and asks the vault for the id of an alias, so that the operation and
// its response are of the same CMK. It needs the permission DescribeKey for an alias.
func (c call) identify(text string) (string, error) {
	k, err := c.find(text)
	if err != nil || k.id != "" {
		return k.id, err
	}
	described, err := c.DescribeKey(c, k.name)
	return described.ID, err
}
