//go:build unix

package cli

import "syscall"

// detached makes a process leave this program's session, so that it outlives the terminal.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
