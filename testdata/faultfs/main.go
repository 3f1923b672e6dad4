// Command faultfs mounts a folder at another place, where what is done fails as its standard input
// says, for the tests of the model store. It ends, and unmounts, when its input does.
//
//	faultfs FOLDER PLACE
//
// It prints "mounted", and "ok" after each line of input, which is one of
//
//	none        nothing fails
//	eio N       each operation fails with EIO, one of N in random order
//	full N      there is room for N more bytes
//	readonly    nothing can be changed
package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// What fails. One in so many operations, how much room there is, and whether nothing is changed.
var (
	oneIn    atomic.Int64 // 0: none
	room     atomic.Int64
	limited  atomic.Bool
	readOnly atomic.Bool
)

// change decides about an operation that changes something and takes so many bytes.
func change(bytes int) syscall.Errno {
	if readOnly.Load() {
		return syscall.EROFS
	}
	if limited.Load() && bytes > 0 && room.Add(-int64(bytes)) < 0 {
		return syscall.ENOSPC
	}
	return look()
}

// look decides about an operation that reads.
func look() syscall.Errno {
	if n := oneIn.Load(); n > 0 && rand.Int64N(n) == 0 {
		return syscall.EIO
	}
	return 0
}

func set(line string) error {
	mode, number, _ := strings.Cut(line, " ")
	n, _ := strconv.ParseInt(number, 10, 64)
	oneIn.Store(0)
	limited.Store(false)
	readOnly.Store(false)
	switch mode {
	case "none":
	case "eio":
		oneIn.Store(n)
	case "full":
		room.Store(n)
		limited.Store(true)
	case "readonly":
		readOnly.Store(true)
	default:
		return fmt.Errorf("%q is not known", line)
	}
	return nil
}

// entryBytes is what a name in a folder takes.
const entryBytes = 64

// node is a file or folder.
type node struct{ fs.LoopbackNode }

func (n *node) Create(
	ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut,
) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if e := change(entryBytes); e != 0 {
		return nil, nil, 0, e
	}
	inode, h, fuseFlags, e := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, wrap(h), fuseFlags, e
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	e := look()
	if flags&(syscall.O_WRONLY|syscall.O_RDWR|syscall.O_TRUNC) != 0 {
		e = change(0)
	}
	if e != 0 {
		return nil, 0, e
	}
	h, fuseFlags, e := n.LoopbackNode.Open(ctx, flags)
	return wrap(h), fuseFlags, e
}

func (n *node) Mkdir(
	ctx context.Context, name string, mode uint32, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	if e := change(entryBytes); e != 0 {
		return nil, e
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

func (n *node) Rename(
	ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32,
) syscall.Errno {
	if e := change(0); e != 0 {
		return e
	}
	return n.LoopbackNode.Rename(ctx, name, parent, newName, flags)
}

func (n *node) Link(
	ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut,
) (*fs.Inode, syscall.Errno) {
	if e := change(entryBytes); e != 0 {
		return nil, e
	}
	return n.LoopbackNode.Link(ctx, target, name, out)
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if e := change(0); e != 0 {
		return e
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	if e := change(0); e != 0 {
		return e
	}
	return n.LoopbackNode.Rmdir(ctx, name)
}

func (n *node) Setattr(
	ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut,
) syscall.Errno {
	if e := change(0); e != 0 {
		return e
	}
	return n.LoopbackNode.Setattr(ctx, unwrap(h), in, out)
}

func (n *node) Getattr(ctx context.Context, h fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return n.LoopbackNode.Getattr(ctx, unwrap(h), out)
}

func (n *node) CopyFileRange(
	context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64,
) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS // so that it is done by reads and writes
}

// file is one that is open.
type file struct{ to fs.FileHandle }

func wrap(h fs.FileHandle) fs.FileHandle {
	if h == nil {
		return nil
	}
	return &file{h}
}

func unwrap(h fs.FileHandle) fs.FileHandle {
	if f, ok := h.(*file); ok {
		return f.to
	}
	return h
}

func (f *file) Read(ctx context.Context, b []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	if e := look(); e != 0 {
		return nil, e
	}
	return f.to.(fs.FileReader).Read(ctx, b, at)
}

func (f *file) Write(ctx context.Context, b []byte, at int64) (uint32, syscall.Errno) {
	if e := change(len(b)); e != 0 {
		return 0, e
	}
	return f.to.(fs.FileWriter).Write(ctx, b, at)
}

func (f *file) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if e := change(0); e != 0 {
		return e
	}
	return 0 // what a power failure leaves is not tested
}

func (f *file) Flush(ctx context.Context) syscall.Errno {
	return f.to.(fs.FileFlusher).Flush(ctx)
}

func (f *file) Release(ctx context.Context) syscall.Errno {
	return f.to.(fs.FileReleaser).Release(ctx)
}

func mount(folder, place string) (*fuse.Server, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(folder, &st); err != nil {
		return nil, err
	}
	root := &fs.LoopbackRoot{Path: folder, Dev: uint64(st.Dev)}
	root.NewNode = func(
		data *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t,
	) fs.InodeEmbedder {
		return &node{fs.LoopbackNode{RootData: data}}
	}
	top := root.NewNode(root, nil, "", &st)
	root.RootNode = top
	o := &fs.Options{}
	o.DirectMount = true
	o.FsName = "faultfs"
	return fs.Mount(place, top, o)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: faultfs FOLDER PLACE")
		os.Exit(2)
	}
	server, err := mount(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "faultfs:", err)
		os.Exit(1)
	}
	fmt.Println("mounted")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := set(lines.Text()); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("ok")
	}
	if err := server.Unmount(); err != nil {
		fmt.Fprintln(os.Stderr, "faultfs:", err)
		os.Exit(1)
	}
}
