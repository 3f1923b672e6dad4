//go:build !unix

package cli

import (
	"os"
	"syscall"
)

// detached makes a process outlive this program. Elsewhere than on Unix every process does.
func detached() *syscall.SysProcAttr { return nil }

// terminate ends a process. Elsewhere than on Unix it cannot be asked to.
func terminate(p *os.Process) error { return p.Kill() }
