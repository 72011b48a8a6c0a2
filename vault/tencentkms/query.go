package tencentkms

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A number is a parameter that is a whole number. It may be written as a string of digits: so
// the documentation of the service prints some requests, and so every value in the query of a
// GET is.
type number uint64

var errNumber = errors.New("not a whole number")

// UnmarshalJSON reads a number or a string of digits.
func (n *number) UnmarshalJSON(text []byte) error {
	digits := string(text)
	if digits == "null" {
		return nil
	}
	if strings.HasPrefix(digits, `"`) {
		digits = strings.Trim(digits, `"`)
	}
	v, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return errNumber // without the value
	}
	*n = number(v)
	return nil
}

// queryParameters returns the parameters in the query of a GET as a JSON object. A name is that
// of a parameter. For a member of a list or of an object it continues with a dot and the index or
// the name, as in Tags.0.TagKey.
func queryParameters(query string) ([]byte, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, failure{invalidParameter, "The query of the request is not one of names and values."}
	}
	root := make(map[string]any)
	for name, list := range values {
		if len(list) > 1 {
			return nil, failure{invalidParameter, fmt.Sprintf("The name %.64q stands twice in the request.", name)}
		}
		if !utf8.ValidString(name) || !utf8.ValidString(list[0]) {
			return nil, failure{invalidParameter, "A string of the request is not Unicode."}
		}
		if !insert(root, strings.Split(name, "."), list[0]) {
			return nil, failure{invalidParameter, fmt.Sprintf("The name %.64q stands twice in the request.", name)}
		}
	}
	parameters := make(map[string]any)
	for name, v := range root {
		if parameters[name], err = member(v); err != nil {
			return nil, err
		}
	}
	return json.Marshal(parameters)
}

// insert puts a value at a path. It returns false if the path leads through a value, or to
// something that has members.
func insert(node map[string]any, path []string, value string) bool {
	last := len(path) - 1
	for _, name := range path[:last] {
		if node[name] == nil {
			node[name] = make(map[string]any)
		}
		next, ok := node[name].(map[string]any)
		if !ok {
			return false
		}
		node = next
	}
	if node[path[last]] != nil {
		return false
	}
	node[path[last]] = value
	return true
}

// member returns a value as encoding/json writes it: a string, an object, or a list if the names
// of the members are indices.
func member(v any) (any, error) {
	members, ok := v.(map[string]any)
	if !ok {
		return v, nil
	}
	for name, inner := range members {
		var err error
		if members[name], err = member(inner); err != nil {
			return nil, err
		}
	}
	if members["0"] == nil {
		return members, nil
	}
	list := make([]any, len(members))
	for i := range list {
		if list[i] = members[strconv.Itoa(i)]; list[i] == nil {
			return nil, failure{invalidParameter, "The indices of a list in the query are not 0, 1, 2 and so on."}
		}
	}
	return list, nil
}
