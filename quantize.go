package mullama

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/shirou/gopsutil/v4/disk"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/llama"
)

// QuantizeOptions say how [Runtime.Quantize] writes a model.
type QuantizeOptions struct {
	Type string // one of [Runtime.QuantizeTypes], in any case; or "COPY", which changes no tensor
	// Imatrix is the path of an importance matrix, as llama-imatrix writes it. Types with less than
	// three bits for a weight need one.
	Imatrix string
	Threads int // 0: one per core
	// Requantize allows a model that is quantised already, which costs quality.
	Requantize bool
	// Pure gives all tensors the type. Otherwise those that matter most get a better one.
	Pure bool
	// LeaveOutput leaves output.weight as it is. OutputType and EmbeddingType are the types of it
	// and of the table of tokens: those of tensors, such as "q8_0"; "": as Type says.
	LeaveOutput               bool
	OutputType, EmbeddingType string
	// Progress is told how many of all tensors are done.
	Progress func(done, all int)
}

// typeAliases are shorter names of types.
var typeAliases = map[string]string{
	"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "MXFP4": "MXFP4_MOE",
}

// copyType changes no tensor, but makes one file of several.
const copyType = "COPY"

// QuantizeTypes are the types that models can be quantised to, such as "Q4_K_M", the largest first.
func (r *Runtime) QuantizeTypes() []string { return r.lib.QuantizeTypes() }

// Quantize writes the model in a GGUF file to another file with its weights in another type. A file
// that is there is replaced, when all is done. Errors: ErrNotFound, ErrNotGGUF, ErrUnsupported,
// ErrInvalidOption, ErrStore where there is no room, ErrCancelled.
func (r *Runtime) Quantize(ctx context.Context, path, out string, o *QuantizeOptions) error {
	op := "quantise " + path
	if r.isClosed() {
		return &Error{Kind: ErrClosed, Op: op, Err: errors.New("the runtime is closed")}
	}
	if sameFile(path, out) {
		return invalid(op, "the new file is the model itself; give it another name")
	}
	q, err := r.newQuantizing(op, path, o)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(out), ".quantise-*")
	if err != nil {
		return &Error{Kind: ErrStore, Op: op, Hint: "check the folder of the new file",
			Err: fmt.Errorf("write %s: %w", out, withoutPath(err, out))}
	}
	temp.Close()
	defer os.Remove(temp.Name()) // not there any more after a success
	if err := q.write(ctx, temp.Name()); err != nil {
		return err
	}
	if err = os.Chmod(temp.Name(), 0o644); err == nil {
		err = os.Rename(temp.Name(), out)
	}
	if err != nil {
		return &Error{Kind: ErrStore, Op: op, Err: err}
	}
	return nil
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// quantizing is one model that is quantised.
type quantizing struct {
	r      *Runtime
	op     string
	info   *Info
	header int64
	params llama.QuantizeParams
	from   string // the model's type
}

// newQuantizing refuses what cannot be done, before anything is written.
func (r *Runtime) newQuantizing(op, path string, o *QuantizeOptions) (*quantizing, error) {
	kind, err := r.quantizeType(op, o.Type)
	if err != nil {
		return nil, err
	}
	info, f, err := inspect(path)
	if err != nil {
		return nil, err
	}
	if reason := notQuantizable(f, path); reason != "" {
		return nil, unsupported(op, reason)
	}
	if t := quantizedTensor(f); t != nil && !o.Requantize && kind != copyType {
		return nil, &Error{Kind: ErrInvalidOption, Op: op,
			Err: fmt.Errorf("it is quantised already (%s is %s), and would lose quality twice; "+
				"begin with the model in F16, BF16 or F32", t.Name, t.Type),
			Hint: "'mullama quantize --allow-requantize' does it nevertheless"}
	}
	if o.Imatrix != "" {
		if err := checkImatrix(op, o.Imatrix); err != nil {
			return nil, err
		}
	}
	return &quantizing{r: r, op: op, info: info, header: f.DataOffset, from: info.Quantization,
		params: llama.QuantizeParams{
			Type: kind, Threads: o.Threads, Requantize: o.Requantize, LeaveOutput: o.LeaveOutput,
			Pure: o.Pure, OutputType: o.OutputType, EmbeddingType: o.EmbeddingType,
			Imatrix: o.Imatrix, Progress: o.Progress,
		}}, nil
}

// notQuantizable says why a GGUF file is no model to quantise, or "".
func notQuantizable(f *gguf.File, path string) string {
	split, parts := f.Split()
	switch {
	case !parts:
		return notImportable(f)
	case split.Number > 0 || len(gguf.SplitPaths(path)) == 0:
		return fmt.Sprintf("it is part %d of %d of a model; name the first, as llama.cpp writes it",
			split.Number+1, split.Count)
	}
	return ""
}

func (r *Runtime) quantizeType(op, name string) (string, error) {
	upper := strings.ToUpper(name)
	if alias, ok := typeAliases[upper]; ok {
		upper = alias
	}
	types := append(r.QuantizeTypes(), copyType)
	for _, t := range types {
		if t == upper {
			return t, nil
		}
	}
	return "", invalid(op, fmt.Sprintf("there is no type %.40q; use one of %s", name,
		strings.Join(types, ", ")))
}

// quantizedTensor is one that is quantised, or nil.
func quantizedTensor(f *gguf.File) *gguf.Tensor {
	for i := range f.Tensors {
		if elements, _ := f.Tensors[i].Type.Block(); elements > 1 {
			return &f.Tensors[i]
		}
	}
	return nil
}

// write writes the new file, if there is room for it.
func (q *quantizing) write(ctx context.Context, out string) error {
	size, err := q.r.lib.Quantize(ctx, q.info.Path, "", q.params)
	if err != nil {
		return q.explain(err)
	}
	size += uint64(q.header)
	if usage, err := disk.Usage(filepath.Dir(out)); err == nil && usage.Free < size {
		return &Error{Kind: ErrStore, Op: q.op, Hint: "free some space, or write it elsewhere",
			Err: fmt.Errorf("the new file takes %s, and the disk has %s", humanize.Bytes(size),
				humanize.Bytes(usage.Free))}
	}
	if _, err = q.r.lib.Quantize(ctx, q.info.Path, out, q.params); err != nil {
		return q.explain(err)
	}
	if err := syncFile(out); err != nil {
		return &Error{Kind: ErrStore, Op: q.op, Err: err}
	}
	return ctx.Err()
}

// explain gives an error of the quantiser its kind.
func (q *quantizing) explain(err error) error {
	switch {
	case strings.Contains(err.Error(), "iostream error"): // all that C++ says
		return &Error{Kind: ErrStore, Op: q.op, Hint: "free some space, or write it elsewhere",
			Err: errors.New("the new file cannot be written; is the disk full?")}
	case strings.Contains(err.Error(), "needs an importance matrix"):
		return &Error{Kind: ErrInvalidOption, Op: q.op, Err: err,
			Hint: "make one with llama-imatrix, or choose a type with more bits"}
	}
	return wrap(q.op, err)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
