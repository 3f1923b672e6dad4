// Command mullama-bench makes what benchmarks of Mullama need.
package main

import (
	"os"

	"github.com/mullama/mullama/internal/benchcmd"
)

func main() {
	os.Exit(benchcmd.Main(os.Args[1:], os.Stdout, os.Stderr))
}
