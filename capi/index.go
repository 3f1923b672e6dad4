package main

// #include "shim.h"
import "C"

import (
	"context"
	"encoding/json"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/server"
)

// index is what is behind an index: the file, and the model that embeds texts, or nil.
type index struct {
	*mullama.Index
	model model
}

// indexOptions are those of mullama_index_open.
type indexOptions struct {
	Dimensions int                `json:"dimensions"`
	Vectors    mullama.VectorKind `json:"vectors"`
	InMemory   bool               `json:"in_memory"`
	Threads    int                `json:"threads"`
	Device     string             `json:"device"`
}

// openIndex opens an index, or makes one, for the vectors of a model if there is one.
func openIndex(e engine, path string, m model, options []byte) (*index, error) {
	if path == "" {
		return nil, invalid("the path of an index is missing")
	}
	o := indexOptions{Vectors: mullama.VectorsF16}
	if err := parseStrictly(options, &o); err != nil {
		return nil, err
	}
	if o.Dimensions < 0 || o.Threads < 0 {
		return nil, invalid("dimensions are %d and threads %d; neither may be below 0",
			o.Dimensions, o.Threads)
	}
	x := &index{model: m}
	open := mullama.IndexOptions{Dim: o.Dimensions, Vectors: o.Vectors, InMemory: o.InMemory,
		Threads: o.Threads, Device: o.Device, LibraryDir: e.libraryDir()}
	if m != nil {
		rows, label, err := x.embed(context.Background(), "query", []string{"a"})
		if err != nil {
			return nil, err
		}
		if n := len(rows[0][0]); o.Dimensions != 0 && o.Dimensions != n {
			return nil, invalid("dimensions are %d; this model has %d", o.Dimensions, n)
		}
		open.Dim, open.Model = len(rows[0][0]), label
	}
	var err error
	x.Index, err = mullama.OpenIndex(path, open)
	return x, err
}

// embed is server.TokenRows with the model of the index.
func (x *index) embed(
	_ context.Context, task string, texts []string,
) (rows [][][]float32, label string, err error) {
	if x.model == nil {
		return nil, "", invalid("the index was opened without a model, which embeds texts; open " +
			"it with one, or give vectors")
	}
	request, err := json.Marshal(map[string]any{"input": texts, "pooling": "none", "task": task,
		"truncate": task == "document"})
	if err != nil {
		return nil, "", err
	}
	result, err := x.model.embed(request)
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return nil, "", err
	}
	for _, e := range result.Embeddings {
		rows = append(rows, e.Rows)
	}
	return rows, x.model.label(), nil
}

func (x *index) add(request []byte) error {
	return server.AddToIndex(context.Background(), x.Index, request, x.embed)
}

func (x *index) search(request []byte) ([]byte, error) {
	return server.SearchIndex(context.Background(), x.Index, request, x.embed)
}

func (x *index) train(options []byte) error {
	var o struct {
		Groups int `json:"groups"`
	}
	if err := parseStrictly(options, &o); err != nil {
		return err
	}
	return x.Train(context.Background(), o.Groups)
}

func (x *index) info() ([]byte, error) {
	info, err := x.Info()
	if err != nil {
		return nil, err
	}
	return json.Marshal(info)
}

//export goIndexOpen
func goIndexOpen(
	runtime C.uintptr_t, path *C.char, modelHandle C.uintptr_t, options *C.char,
	handle *C.uintptr_t, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		e, err := runtimes.get(uintptr(runtime))
		if err != nil {
			return err
		}
		if handle == nil {
			return invalid("index is NULL; there is no place for the handle")
		}
		var m model
		if modelHandle != 0 {
			if m, err = models.get(uintptr(modelHandle)); err != nil {
				return err
			}
		}
		file, err := text(path, "the path of the index")
		if err != nil {
			return err
		}
		data, err := text(options, "the text of options")
		if err != nil {
			return err
		}
		x, err := openIndex(e, string(file), m, data)
		if err == nil {
			*handle = C.uintptr_t(indexes.add(x))
		}
		return err
	})
}

//export goIndexClose
func goIndexClose(handle C.uintptr_t) {
	end(indexes, handle, func(x *index) error { return x.Close() })
}

//export goIndexInfo
func goIndexInfo(handle C.uintptr_t, to **C.char, out **C.mullama_error) C.mullama_status {
	return ask(indexes, handle, to, out, (*index).info)
}

//export goIndexAdd
func goIndexAdd(
	handle C.uintptr_t, request *C.char, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		return withIndex(handle, request, "the request", (*index).add)
	})
}

//export goIndexTrain
func goIndexTrain(
	handle C.uintptr_t, options *C.char, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		return withIndex(handle, options, "the text of options", (*index).train)
	})
}

//export goIndexSearch
func goIndexSearch(
	handle C.uintptr_t, request *C.char, to **C.char, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		return withIndex(handle, request, "the request", func(x *index, body []byte) error {
			return give(to, func() ([]byte, error) { return x.search(body) })
		})
	})
}

//export goIndexVerify
func goIndexVerify(handle C.uintptr_t, out **C.mullama_error) C.mullama_status {
	return call(out, func() error {
		x, err := indexes.get(uintptr(handle))
		if err != nil {
			return err
		}
		return x.Verify()
	})
}

// withIndex calls a function with an index and a text, which what names in errors.
func withIndex(
	handle C.uintptr_t, from *C.char, what string, do func(x *index, body []byte) error,
) error {
	x, err := indexes.get(uintptr(handle))
	if err != nil {
		return err
	}
	body, err := text(from, what)
	if err != nil {
		return err
	}
	return do(x, body)
}
