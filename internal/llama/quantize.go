package llama

// #include "shim.h"
import "C"

import (
	"context"
	"runtime/cgo"
)

// QuantizeParams say how a model is quantised.
type QuantizeParams struct {
	Type        string // one of [Library.QuantizeTypes], or "COPY", which changes no tensor
	Threads     int    // 0: one per core
	Requantize  bool   // tensors that are quantised already too
	LeaveOutput bool   // output.weight stays as it is
	Pure        bool   // all tensors get the type, and none a better one
	// OutputType and EmbeddingType are those of output.weight and of the table of tokens, by the
	// names of tensor types; "": as Type says.
	OutputType, EmbeddingType string
	Imatrix                   string // path of an importance matrix; "": none
	// Progress is told how many of all tensors are done.
	Progress func(done, all int)
}

// QuantizeTypes are the names of the types that models can be quantised to.
func (l *Library) QuantizeTypes() (names []string) {
	for i := C.int32_t(0); ; i++ {
		name := C.shim_quantize_type(l.table, i)
		if name == nil {
			return names
		}
		names = append(names, C.GoString(name))
	}
}

// Quantize writes the model at path to out with its weights in another type. If out is "", it only
// returns about how many bytes the tensors will take. What was written stays after an error.
// ErrCancelled: ctx ended, which is looked at between tensors.
func (l *Library) Quantize(
	ctx context.Context, path, out string, p QuantizeParams,
) (size uint64, err error) {
	if err := checkPath(path); err != nil {
		return 0, err
	}
	var a arena
	defer a.free()
	params := C.mn_quantize_params{
		_type:        a.string(p.Type),
		n_threads:    C.int32_t(p.Threads),
		requantize:   flag(p.Requantize),
		leave_output: flag(p.LeaveOutput),
		pure:         flag(p.Pure),

		output_type:    a.string(p.OutputType),
		embedding_type: a.string(p.EmbeddingType),
		imatrix:        a.string(p.Imatrix),
	}
	told := cgo.NewHandle(tensorsFunc(func(done, all int) bool {
		if p.Progress != nil && out != "" {
			p.Progress(done, all)
		}
		return ctx.Err() == nil
	}))
	defer told.Delete()
	C.shim_use_tensors(&params, C.uintptr_t(told))
	var n C.uint64_t
	var e C.mn_error
	err = check(C.shim_quantize(l.table, a.string(path), a.string(out), &params, &n, &e), &e)
	return uint64(n), err
}

// tensorsFunc is told how many tensors are done; returning false ends the work.
type tensorsFunc func(done, all int) bool

//export goTensors
func goTensors(done, all C.int32_t, user C.uintptr_t) C.int32_t {
	fn := cgo.Handle(user).Value().(tensorsFunc)
	return flag(fn(int(done), int(all)))
}
