package main

// #include "shim.h"
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"unsafe"

	"github.com/mullama/mullama"
)

// version is never freed: it lives as long as the library.
var version = C.CString(mullama.Version())

//export goVersion
func goVersion() *C.char { return version }

//export goNoop
func goNoop(out **C.mullama_error) C.mullama_status {
	return call(out, func() error { return nil })
}

// runtimeOptions are those of mullama_runtime_open.
type runtimeOptions struct {
	LibraryDir string `json:"library_dir"`
	ModelsDir  string `json:"models_dir"`
	URL        string `json:"url"`
	Key        string `json:"key"`
	Echo       bool   `json:"echo"`
}

//export goRuntimeOpen
func goRuntimeOpen(
	options *C.char, handle *C.uintptr_t, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		if handle == nil {
			return invalid("runtime is NULL; there is no place for the handle")
		}
		var o runtimeOptions
		if err := readOptions(options, &o); err != nil {
			return err
		}
		e, err := open(&o)
		if err == nil {
			*handle = C.uintptr_t(runtimes.add(e))
		}
		return err
	})
}

func open(o *runtimeOptions) (engine, error) {
	switch {
	case o.Echo:
		return echo{}, nil
	case o.URL != "":
		return openRemote(o)
	case o.Key != "":
		return nil, invalid("key is for a daemon; give its url, too")
	}
	return openLocal(o)
}

//export goRuntimeClose
func goRuntimeClose(handle C.uintptr_t) {
	end(runtimes, handle, engine.close)
}

//export goRuntimeInfo
func goRuntimeInfo(handle C.uintptr_t, to **C.char, out **C.mullama_error) C.mullama_status {
	return ask(runtimes, handle, to, out, engine.info)
}

//export goRuntimeModels
func goRuntimeModels(handle C.uintptr_t, to **C.char, out **C.mullama_error) C.mullama_status {
	return ask(runtimes, handle, to, out, engine.models)
}

//export goModelLoad
func goModelLoad(
	runtime C.uintptr_t, name, options *C.char, progress C.mullama_progress, user unsafe.Pointer,
	handle *C.uintptr_t, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		e, err := runtimes.get(uintptr(runtime))
		if err != nil {
			return err
		}
		if name == nil || handle == nil {
			return invalid("name or model is NULL")
		}
		var o mullama.LoadOptions
		if err := readOptions(options, &o); err != nil {
			return err
		}
		file, err := text(name, "the name of the model")
		if err != nil {
			return err
		}
		tell := func(fraction float32) bool {
			return progress == nil || bool(C.capi_progress(progress, C.float(fraction), user))
		}
		m, err := load(e, string(file), &o, tell)
		if err == nil {
			*handle = C.uintptr_t(models.add(m))
		}
		return err
	})
}

// load loads a model and tells its progress, which every engine tells to the end. It gives the load
// up when it is told to.
func load(
	e engine, name string, o *mullama.LoadOptions, tell func(fraction float32) bool,
) (model, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o.Progress = func(fraction float32) {
		if ctx.Err() == nil && !tell(fraction) {
			cancel()
		}
	}
	m, err := e.load(ctx, name, o)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, errors.Join(&mullama.Error{Kind: mullama.ErrCancelled, Op: "load " + name,
			Err: ctx.Err()}, m.close())
	}
	return m, nil
}

//export goModelClose
func goModelClose(handle C.uintptr_t) {
	end(models, handle, model.close)
}

//export goModelInfo
func goModelInfo(handle C.uintptr_t, to **C.char, out **C.mullama_error) C.mullama_status {
	return ask(models, handle, to, out, model.info)
}

//export goModelTokenize
func goModelTokenize(
	handle C.uintptr_t, from *C.char, size C.size_t, flags C.uint32_t, tokens *C.int32_t,
	capacity C.size_t, count *C.size_t, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		m, err := models.get(uintptr(handle))
		if err != nil {
			return err
		}
		const known = C.MULLAMA_ADD_SPECIAL | C.MULLAMA_PARSE_SPECIAL
		if flags&^known != 0 {
			return invalid("flags are %#x; only MULLAMA_ADD_SPECIAL and MULLAMA_PARSE_SPECIAL"+
				" are known", uint32(flags))
		}
		data, err := borrow[byte](unsafe.Pointer(from), size, "text")
		if err != nil {
			return err
		}
		room, err := roomFor[mullama.Token](unsafe.Pointer(tokens), capacity, count, "tokens")
		if err != nil {
			return err
		}
		text := unsafe.String(unsafe.SliceData(data), len(data))
		list, err := m.appendTokens(room[:0], text, mullama.TokenizeOptions{
			AddSpecial:   flags&C.MULLAMA_ADD_SPECIAL != 0,
			ParseSpecial: flags&C.MULLAMA_PARSE_SPECIAL != 0,
		})
		if err != nil {
			return err
		}
		return fill(room, count, list, "tokens")
	})
}

//export goModelDetokenize
func goModelDetokenize(
	handle C.uintptr_t, tokens *C.int32_t, n C.size_t, to *C.char, capacity C.size_t,
	size *C.size_t, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		m, err := models.get(uintptr(handle))
		if err != nil {
			return err
		}
		list, err := borrow[mullama.Token](unsafe.Pointer(tokens), n, "tokens")
		if err != nil {
			return err
		}
		data, err := m.detokenize(list)
		if err != nil {
			return err
		}
		room, err := roomFor[byte](unsafe.Pointer(to), capacity, size, "text")
		if err != nil {
			return err
		}
		return fill(room, size, data, "text")
	})
}

//export goModelRender
func goModelRender(
	handle C.uintptr_t, request *C.char, to **C.char, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		m, err := models.get(uintptr(handle))
		if err != nil {
			return err
		}
		body, err := text(request, "the request")
		if err != nil {
			return err
		}
		return give(to, func() ([]byte, error) {
			prompt, err := m.render(body)
			if err != nil {
				return nil, err
			}
			return json.Marshal(map[string]string{"prompt": prompt})
		})
	})
}

//export goModelChat
func goModelChat(
	handle C.uintptr_t, request *C.char, to *C.uintptr_t, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error { return begin(handle, request, to, model.chat) })
}

//export goModelGenerate
func goModelGenerate(
	handle C.uintptr_t, request *C.char, to *C.uintptr_t, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error { return begin(handle, request, to, model.generate) })
}

// begin starts an answer and gives its handle.
func begin(
	handle C.uintptr_t, request *C.char, to *C.uintptr_t,
	start func(m model, request []byte) (answer, error),
) error {
	m, err := models.get(uintptr(handle))
	if err != nil {
		return err
	}
	if to == nil {
		return invalid("stream is NULL; there is no place for the handle")
	}
	body, err := text(request, "the request")
	if err != nil {
		return err
	}
	a, err := start(m, body)
	if err == nil {
		*to = C.uintptr_t(streams.add(&stream{answer: a}))
	}
	return err
}

//export goStreamNext
func goStreamNext(
	handle C.uintptr_t, chunk *C.mullama_chunk, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		s, err := streams.get(uintptr(handle))
		if err != nil {
			return err
		}
		if chunk == nil || chunk.struct_size < C.CAPI_CHUNK_V1 {
			return invalid("chunk is NULL, or its struct_size is not sizeof(mullama_chunk)")
		}
		return s.read(chunk)
	})
}

//export goStreamDeliver
func goStreamDeliver(
	handle C.uintptr_t, onChunk C.mullama_on_chunk, user unsafe.Pointer, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		s, err := streams.get(uintptr(handle))
		if err != nil {
			return err
		}
		if onChunk == nil {
			return invalid("on_chunk is NULL")
		}
		return s.deliver(onChunk, user)
	})
}

//export goStreamCancel
func goStreamCancel(handle C.uintptr_t, out **C.mullama_error) C.mullama_status {
	return call(out, func() error {
		s, err := streams.get(uintptr(handle))
		if err != nil {
			return err
		}
		s.answer.cancel()
		return nil
	})
}

//export goStreamClose
func goStreamClose(handle C.uintptr_t) {
	end(streams, handle, func(s *stream) error {
		s.close()
		return nil
	})
}
