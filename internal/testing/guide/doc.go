// Package guide tests every flow of docs/guide.md on every kind of device, with the real
// openssl as the other side, and keeps the tables of that document true.
//
//	go test -v ./internal/testing/guide        # prints the table
//	go test ./internal/testing/guide -update   # writes it into docs/guide.md
package guide
