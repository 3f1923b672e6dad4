package mullama

import (
	_ "embed"
	"strings"
)

//go:embed VERSION
var version string

// Version returns the version of this module.
func Version() string { return strings.TrimSpace(version) }
