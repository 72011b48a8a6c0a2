package audit

import "time"

// A Filter selects records. The zero value selects all records; each field that is set
// must match.
type Filter struct {
	// From is inclusive, To is exclusive.
	From, To                  time.Time
	Principal, Operation, Key string
	Result                    Result
}

// Match reports whether the filter selects r.
func (f Filter) Match(r Record) bool {
	return (f.From.IsZero() || !r.Time.Before(f.From)) &&
		(f.To.IsZero() || r.Time.Before(f.To)) &&
		(f.Principal == "" || f.Principal == r.Principal) &&
		(f.Operation == "" || f.Operation == r.Operation) &&
		(f.Key == "" || f.Key == r.Key) &&
		(f.Result == "" || f.Result == r.Result)
}
