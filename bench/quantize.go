package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/mullama/mullama"
)

// quantizedType is what models are quantised to, from F16.
const quantizedType = "Q4_K_M"

// quantizer quantises one model by turns here and with llama-quantize, with as many threads.
type quantizer struct {
	rt      *mullama.Runtime
	program string // llama-quantize
	f16     string
}

// newQuantizer writes the model in F16, which costs nothing but what it has lost already.
func newQuantizer(
	ctx context.Context, rt *mullama.Runtime, model, program, dir string,
) (*quantizer, error) {
	q := &quantizer{rt: rt, program: program, f16: filepath.Join(dir, "f16.gguf")}
	return q, rt.Quantize(ctx, model, q.f16, &mullama.QuantizeOptions{Type: "F16",
		Requantize: true})
}

// round measures both, the one that is first by turns, and compares what they wrote.
func (q *quantizer) round(ctx context.Context, round int) (Point, error) {
	p := Point{Round: round, Case: "quantise from F16 to " + quantizedType}
	ours, theirs := q.f16+".ours", q.f16+".theirs"
	defer os.Remove(ours)
	defer os.Remove(theirs)
	turns := []func() error{
		func() (err error) {
			p.Values, err = seconds(func() error {
				return q.rt.Quantize(ctx, q.f16, ours, &mullama.QuantizeOptions{
					Type: quantizedType, Threads: runtime.NumCPU()})
			})
			return err
		},
		func() (err error) {
			p.Baseline, err = seconds(func() error { return q.llama(ctx, theirs) })
			return err
		},
	}
	for i := range turns {
		if err := turns[(i+round)%len(turns)](); err != nil {
			return p, err
		}
	}
	return p, sameContent(ours, theirs)
}

func seconds(do func() error) (map[string]float64, error) {
	start := time.Now()
	err := do()
	return map[string]float64{"quantize_s": time.Since(start).Seconds()}, err
}

// llama has llama-quantize write the model.
func (q *quantizer) llama(ctx context.Context, file string) error {
	cmd := exec.CommandContext(ctx, q.program, q.f16, file, quantizedType,
		strconv.Itoa(runtime.NumCPU()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", q.program, err, out[max(0, len(out)-1000):])
	}
	return nil
}

// sameContent compares two files.
func sameContent(a, b string) error {
	var files [2]*os.File
	for i, path := range []string{a, b} {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		files[i] = f
	}
	var parts [2][1 << 20]byte
	for {
		n, errA := io.ReadFull(files[0], parts[0][:])
		m, errB := io.ReadFull(files[1], parts[1][:])
		if !bytes.Equal(parts[0][:n], parts[1][:m]) {
			return errors.New("the model that llama-quantize wrote differs from ours")
		}
		if errA != nil || errB != nil {
			return nil // the end of both, or what follows will tell
		}
	}
}
