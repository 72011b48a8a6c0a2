// Command strongroom creates, uses and looks after a vault of Strongroom. See docs/cli.md.
package main

import (
	"os"

	"strongroom.example/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
