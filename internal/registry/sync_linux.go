package registry

import (
	"os"

	"golang.org/x/sys/unix"
)

// beginSync has the disk begin to write a part of a file, so that there is less to wait for when
// the whole is synced. It is no promise, and an error means no more than that: Sync tells.
func beginSync(f *os.File, at, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), at, n, unix.SYNC_FILE_RANGE_WRITE)
}
