package llama

// #include "shim.h"
import "C"

import (
	"log/slog"
	"runtime/cgo"
	"sync/atomic"
)

// logFunc receives llama.cpp's log lines; nil when nobody listens.
var logFunc atomic.Pointer[func(slog.Level, string)]

// SetLog sends llama.cpp's log lines of level min and above to fn, from any thread and also while
// other calls run, so fn must be quick and must not call into this package. A nil fn silences it.
// There is one log per process.
func (l *Library) SetLog(min slog.Level, fn func(level slog.Level, line string)) {
	if fn == nil {
		C.shim_log_set(l.table, 0)
		logFunc.Store(nil)
		return
	}
	logFunc.Store(&fn)
	C.shim_log_set(l.table, C.int32_t((max(min, slog.LevelDebug)-slog.LevelDebug)/4+1))
}

//export goLogLine
func goLogLine(level C.int32_t, text *C.char, n C.size_t) {
	if fn := logFunc.Load(); fn != nil {
		(*fn)(slog.LevelDebug+slog.Level(level-1)*4, C.GoStringN(text, C.int(n)))
	}
}

// progressFunc is told how much of a model is loaded; returning false stops the load.
type progressFunc func(fraction float32) bool

//export goProgress
func goProgress(fraction C.float, user C.uintptr_t) C.int32_t {
	fn := cgo.Handle(user).Value().(progressFunc)
	return flag(fn(float32(fraction)))
}
