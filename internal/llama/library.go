package llama

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// Library is the loaded native library. There is one per file and process, and it is never
// unloaded.
type Library struct {
	table *C.mn_table
	path  string
}

var (
	openMu  sync.Mutex // guards opened
	opened  = map[string]*Library{}
	libName = map[string]string{"darwin": "libmullama-native.dylib"}[runtime.GOOS]
)

func fileName() string {
	if libName != "" {
		return libName
	}
	return "libmullama-native.so"
}

// Open loads the native library from dir, or from the first of [SearchDirs] that has it if dir is
// empty. The error says what to run when it is missing or does not fit this program.
func Open(dir string) (*Library, error) {
	dirs := []string{dir}
	if dir == "" {
		dirs = SearchDirs()
	}
	for _, d := range dirs {
		path, err := filepath.EvalSymlinks(filepath.Join(d, fileName()))
		if err == nil {
			return openFile(path)
		}
	}
	return nil, &Error{ErrLibrary, fmt.Sprintf(
		"native library %s is not in %s; build it with `make native`, or name its folder in "+
			"MULLAMA_LIBRARY",
		fileName(), strings.Join(dirs, " or "))}
}

func openFile(path string) (*Library, error) {
	openMu.Lock()
	defer openMu.Unlock()
	if l := opened[path]; l != nil {
		return l, nil
	}
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	var reason *C.char
	table := C.shim_open(cpath, &reason)
	if table == nil && reason != nil {
		return nil, &Error{ErrLibrary, fmt.Sprintf(
			"native library %s cannot be loaded: %s; rebuild it with `make native`",
			path, C.GoString(reason))}
	}
	if table == nil {
		return nil, &Error{ErrLibrary, fmt.Sprintf(
			"native library %s does not fit this program (ABI %d is needed); "+
				"rebuild it with `make native`", path, C.MN_ABI)}
	}
	l := &Library{table: table, path: path}
	opened[path] = l
	return l, nil
}

// Path returns the file that was loaded.
func (l *Library) Path() string { return l.path }

// Version names llama.cpp's version, the pinned sources and the compiler.
func (l *Library) Version() string { return C.GoString(C.shim_version(l.table)) }

// SystemInfo lists the CPU features that the engine uses.
func (l *Library) SystemInfo() string { return C.GoString(C.shim_system_info(l.table)) }

// DeviceKind says what a device is.
type DeviceKind int

// The kinds of device.
const (
	DeviceCPU DeviceKind = iota
	DeviceGPU
	DeviceIntegratedGPU
	DeviceAccelerator
)

// Device is something that can hold layers of a model. Memory is in bytes, 0 when unknown.
type Device struct {
	Name        string
	Description string
	Kind        DeviceKind
	MemoryTotal uint64
	MemoryFree  uint64
}

// Devices returns the devices of this machine, with their memory as it is now.
func (l *Library) Devices() []Device {
	var devices []Device
	for i := range int(C.shim_device_count(l.table)) {
		var d C.mn_device
		var e C.mn_error
		if C.shim_device_get(l.table, C.int32_t(i), &d, &e) != C.MN_OK {
			continue
		}
		devices = append(devices, newDevice(&d))
	}
	return devices
}

// Plugin is a backend in a file of its own beside the library: its name, such as "cuda", the number
// of devices it offers, and why there are none, where that is known.
type Plugin struct {
	Name    string
	Devices int
	Reason  string
}

// Plugins lists the backends that lie beside a portable library; one for this machine alone has
// all inside.
func (l *Library) Plugins() ([]Plugin, error) {
	var out C.mn_buf
	var e C.mn_error
	if err := check(C.shim_plugins(l.table, &out, &e), &e); err != nil {
		return nil, err
	}
	var all []Plugin
	for line := range strings.Lines(string(l.take(out))) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(fields) != 3 {
			continue
		}
		n, _ := strconv.Atoi(fields[1])
		all = append(all, Plugin{Name: fields[0], Devices: n, Reason: fields[2]})
	}
	return all, nil
}

func newDevice(d *C.mn_device) Device {
	return Device{
		Name:        C.GoString(&d.name[0]),
		Description: C.GoString(&d.description[0]),
		Kind:        DeviceKind(d.kind),
		MemoryTotal: uint64(d.memory_total),
		MemoryFree:  uint64(d.memory_free),
	}
}

// SchemaToGrammar returns the GBNF grammar of a JSON schema.
func (l *Library) SchemaToGrammar(schema []byte) (string, error) {
	var out C.mn_buf
	var e C.mn_error
	status := C.shim_schema_to_grammar(l.table, bytesPtr(schema), C.size_t(len(schema)), &out, &e)
	if err := check(status, &e); err != nil {
		return "", err
	}
	return string(l.take(out)), nil
}

// take copies a buffer of the library into Go memory and frees it.
func (l *Library) take(buf C.mn_buf) []byte {
	defer C.shim_buf_free(l.table, buf)
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(buf.data)), int(buf.size)))
}

func bytesPtr(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }

func stringPtr(s string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

// arena holds C memory for the length of one call.
type arena struct{ blocks []unsafe.Pointer }

func (a *arena) free() {
	for _, p := range a.blocks {
		C.free(p)
	}
}

// string returns s as a C string, or NULL if it is empty.
func (a *arena) string(s string) *C.char {
	if s == "" {
		return nil
	}
	p := C.CString(s)
	a.blocks = append(a.blocks, unsafe.Pointer(p))
	return p
}

// strings returns an array of C strings, or NULL if there are none.
func (a *arena) strings(list []string) **C.char {
	if len(list) == 0 {
		return nil
	}
	array := arenaSlice[*C.char](a, len(list))
	for i, s := range list {
		array[i] = C.CString(s)
		a.blocks = append(a.blocks, unsafe.Pointer(array[i]))
	}
	return unsafe.SliceData(array)
}

// arenaSlice returns n zeroed elements of C memory.
func arenaSlice[T any](a *arena, n int) []T {
	if n == 0 {
		return nil
	}
	var zero T
	p := C.calloc(C.size_t(n), C.size_t(unsafe.Sizeof(zero)))
	a.blocks = append(a.blocks, p)
	return unsafe.Slice((*T)(p), n)
}
