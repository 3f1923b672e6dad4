// Command mullama runs language models on this machine.
package main

import (
	"os"

	"github.com/mullama/mullama/internal/cli"
)

func main() {
	os.Exit(cli.Main())
}
