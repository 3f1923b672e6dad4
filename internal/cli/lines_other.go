//go:build !unix

package cli

import "github.com/peterh/liner"

// newLiner returns a line editor. The Windows console delivers keys, not marks around a paste.
func newLiner() (*liner.State, error) { return liner.NewLiner(), nil }
