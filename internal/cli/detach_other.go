//go:build !unix

package cli

import "syscall"

// detached makes a process outlive this program. Elsewhere than on Unix every process does.
func detached() *syscall.SysProcAttr { return nil }
