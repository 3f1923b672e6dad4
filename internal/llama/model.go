package llama

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"runtime/cgo"
	"strings"
)

// Token is the number of an entry of a model's vocabulary.
type Token = int32

// LoadMode says how the file's bytes come into memory.
type LoadMode int32

// The load modes.
const (
	LoadAuto     LoadMode = iota - 1
	LoadRead              // read into memory
	LoadMmap              // map the file; pages come in when they are touched
	LoadLock              // read, and keep in RAM
	LoadMmapLock          // map, and keep in RAM
	LoadDirectIO          // read past the page cache
)

// SplitMode says how a model is spread over several GPUs.
type SplitMode int32

// The split modes.
const (
	SplitNone SplitMode = iota
	SplitLayer
	SplitRow
	SplitTensor
)

// ModelParams are the options of a load. Start from [Library.DefaultModelParams].
type ModelParams struct {
	GPULayers     int // -1 all
	SplitMode     SplitMode
	MainGPU       int
	LoadMode      LoadMode
	VocabOnly     bool // only the vocabulary and metadata: such a model makes no context
	CheckTensors  bool
	RepackWeights bool // lay weights out for this CPU where that is faster
	NoHostBuffer  bool
	Devices       []string  // names to offload to; empty: all
	RPC           []string  // other machines to offload to first, as IPv4 address:port
	TensorSplit   []float32 // a share per device; empty: by free memory
	Overrides     []string  // "key=type:value" with type int, float, bool or str
	TensorBuffers []string  // "regex=buffer type" for tensors to place elsewhere
	Adapters      []string  // paths of LoRA adapters, whose headers have been checked
	Progress      func(fraction float32)
}

// ModelInfo is what a model says of itself. Tokens are -1 when the model has no such token.
type ModelInfo struct {
	Architecture, Description, FileType string
	Parameters, Size                    uint64 // Size in bytes
	ContextLength, EmbeddingLength      int
	Layers, Heads, KVHeads              int
	SlidingWindow                       int // tokens; 0: none
	Vocab                               int
	BOS, EOS, EOT, NL, Pad              Token
	FIMPrefix, FIMSuffix, FIMMiddle     Token
	SEP                                 Token
	AddBOS, AddEOS, AddSEP              bool
	HasEncoder, HasDecoder              bool
	Recurrent, Hybrid                   bool

	Generates       bool // it has logits to sample from, one token after the other
	Causal          bool // tokens look back only
	Pooling         int  // -1 the file does not say, else as in ContextParams
	EmbeddingWidth  int  // length of an embedding
	ClassifierWidth int  // scores of its classification head; 0: it has none
	Positions       int  // most tokens of a text for which it has positions; 0: no limit
}

// Model is a loaded model: weights and vocabulary, shared by its contexts.
type Model struct {
	*modelHandle
	lib  *Library
	info ModelInfo

	adapters int
}

// Library returns the library that loaded the model.
func (m *Model) Library() *Library { return m.lib }

// modelHandle is apart from Model so that the garbage collector can find a forgotten Model while
// the handle is still needed to free it.
type modelHandle struct {
	handle
	ptr *C.mn_model
}

// DefaultModelParams returns llama.cpp's defaults.
func (l *Library) DefaultModelParams() ModelParams {
	d := C.shim_model_defaults(l.table)
	return ModelParams{
		GPULayers:     int(d.gpu_layers),
		SplitMode:     SplitMode(d.split_mode),
		MainGPU:       int(d.main_gpu),
		LoadMode:      LoadMode(d.load_mode),
		RepackWeights: d.use_extra_bufts != 0,
	}
}

func (p *ModelParams) toC(a *arena) C.mn_model_params {
	split := arenaSlice[C.float](a, len(p.TensorSplit))
	for i, share := range p.TensorSplit {
		split[i] = C.float(share)
	}
	c := C.mn_model_params{
		gpu_layers:      C.int32_t(p.GPULayers),
		split_mode:      C.int32_t(p.SplitMode),
		main_gpu:        C.int32_t(p.MainGPU),
		load_mode:       C.int32_t(p.LoadMode),
		vocab_only:      flag(p.VocabOnly),
		check_tensors:   flag(p.CheckTensors),
		use_extra_bufts: flag(p.RepackWeights),
		no_host:         flag(p.NoHostBuffer),
		devices:         a.strings(p.Devices),
		n_devices:       C.int32_t(len(p.Devices)),
		rpc:             a.strings(p.RPC),
		n_rpc:           C.int32_t(len(p.RPC)),
		n_tensor_split:  C.int32_t(len(p.TensorSplit)),
		overrides:       a.strings(p.Overrides),
		n_overrides:     C.int32_t(len(p.Overrides)),
		tensor_bufts:    a.strings(p.TensorBuffers),
		n_tensor_bufts:  C.int32_t(len(p.TensorBuffers)),
		adapters:        a.strings(p.Adapters),
		n_adapters:      C.int32_t(len(p.Adapters)),
	}
	if len(split) > 0 {
		c.tensor_split = &split[0]
	}
	return c
}

// LoadModel loads the GGUF file at path. It returns ErrCancelled when ctx ends first.
func (l *Library) LoadModel(ctx context.Context, path string, p ModelParams) (*Model, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	var a arena
	defer a.free()
	params := p.toC(&a)
	progress := cgo.NewHandle(progressFunc(func(fraction float32) bool {
		if p.Progress != nil {
			p.Progress(fraction)
		}
		return ctx.Err() == nil
	}))
	defer progress.Delete()
	C.shim_use_progress(&params, C.uintptr_t(progress))

	h := &modelHandle{}
	var e C.mn_error
	status := C.shim_model_load(l.table, a.string(path), &params, &h.ptr, &e)
	if err := check(status, &e); err != nil {
		return nil, err
	}
	h.init(func() { C.shim_model_free(l.table, h.ptr) })
	m := &Model{modelHandle: h, lib: l, adapters: len(p.Adapters)}
	m.info = m.readInfo()
	runtime.AddCleanup(m, func(h *modelHandle) { h.close() }, h)
	return m, nil
}

// checkPath refuses what a C string cannot carry.
func checkPath(path string) error {
	if path == "" || strings.Contains(path, "\x00") {
		return &Error{ErrInvalid, fmt.Sprintf("%q is not the path of a model file", path)}
	}
	return nil
}

// Close gives the model back. Its memory is freed when everything made from it is closed too.
func (m *Model) Close() { m.close() }

// Adapters is how many LoRA adapters the model was loaded with.
func (m *Model) Adapters() int { return m.adapters }

// Info returns what the model says of itself.
func (m *Model) Info() ModelInfo { return m.info }

func (m *Model) readInfo() ModelInfo {
	var i C.mn_model_info
	C.shim_model_info(m.lib.table, m.ptr, &i)
	return ModelInfo{
		Architecture:    C.GoString(&i.architecture[0]),
		Description:     C.GoString(&i.description[0]),
		FileType:        C.GoString(&i.file_type[0]),
		Parameters:      uint64(i.n_params),
		Size:            uint64(i.size),
		ContextLength:   int(i.n_ctx_train),
		EmbeddingLength: int(i.n_embd),
		Layers:          int(i.n_layer),
		Heads:           int(i.n_head),
		KVHeads:         int(i.n_head_kv),
		SlidingWindow:   int(i.n_swa),
		Vocab:           int(i.n_vocab),
		BOS:             Token(i.token_bos),
		EOS:             Token(i.token_eos),
		EOT:             Token(i.token_eot),
		NL:              Token(i.token_nl),
		Pad:             Token(i.token_pad),
		FIMPrefix:       Token(i.token_fim_pre),
		FIMSuffix:       Token(i.token_fim_suf),
		FIMMiddle:       Token(i.token_fim_mid),
		SEP:             Token(i.token_sep),
		AddSEP:          i.add_sep != 0,
		AddBOS:          i.add_bos != 0,
		AddEOS:          i.add_eos != 0,
		HasEncoder:      i.has_encoder != 0,
		HasDecoder:      i.has_decoder != 0,
		Recurrent:       i.recurrent != 0,
		Hybrid:          i.hybrid != 0,
		Generates:       i.generates != 0,
		Causal:          i.causal != 0,
		Pooling:         int(i.pooling_type),
		EmbeddingWidth:  int(i.n_embd_out),
		ClassifierWidth: int(i.n_cls_out),
		Positions:       int(i.n_pos),
	}
}

// Metadata returns the file's scalar metadata as text, keyed by name.
func (m *Model) Metadata() (map[string]string, error) {
	if err := m.acquire(); err != nil {
		return nil, err
	}
	defer m.release()
	meta := map[string]string{}
	for i := range C.shim_meta_count(m.lib.table, m.ptr) {
		var key, value C.mn_buf
		var e C.mn_error
		err := check(C.shim_meta_get(m.lib.table, m.ptr, i, &key, &value, &e), &e)
		if err != nil {
			return nil, err
		}
		meta[string(m.lib.take(key))] = string(m.lib.take(value))
	}
	return meta, nil
}

// maxDevices is how many devices are told of, this machine's own memory among them.
const maxDevices = 64

// Memory is what a load takes on one device, in bytes. Total and Free are 0 when unknown.
type Memory struct {
	Device                  string
	Total, Free             uint64
	Weights, Cache, Compute uint64
}

// MemoryPlan returns what loading path with these parameters would take on each device, by
// llama.cpp's dry run: nothing is read but the header, nothing is allocated. This machine's own
// memory comes last.
func (l *Library) MemoryPlan(path string, p ModelParams, cp ContextParams) ([]Memory, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	var a arena
	defer a.free()
	mparams, cparams := p.toC(&a), cp.toC(&a)
	var out [maxDevices]C.mn_memory
	var n C.int32_t
	var e C.mn_error
	status := C.shim_memory_plan(l.table, a.string(path), &mparams, &cparams, &out[0],
		C.int32_t(len(out)), &n, &e)
	if err := check(status, &e); err != nil {
		return nil, err
	}
	return memories(out[:n]), nil
}

func memories(out []C.mn_memory) []Memory {
	plan := make([]Memory, len(out))
	for i := range plan {
		plan[i] = Memory{
			Device:  C.GoString(&out[i].device[0]),
			Total:   uint64(out[i].total),
			Free:    uint64(out[i].free),
			Weights: uint64(out[i].model),
			Cache:   uint64(out[i].context),
			Compute: uint64(out[i].compute),
		}
	}
	return plan
}
