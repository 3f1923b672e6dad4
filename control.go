package mullama

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/llama"
)

// ControlVector is added to the outputs of a model's layers for all calls. Several are added up.
type ControlVector struct {
	Path  string   `json:"path"`            // of a GGUF file
	Scale *float32 `json:"scale,omitempty"` // nil: 1
}

func (c *ControlVector) scale() float32 {
	if c.Scale == nil {
		return 1
	}
	return *c.Scale
}

func (o *LoadOptions) checkControl(op string) error {
	for _, c := range o.ControlVectors {
		if !isScale(c.scale()) {
			return invalid(op, fmt.Sprintf("the scale of control vector %s is %g; it must be a "+
				"finite number", c.Path, c.scale()))
		}
	}
	first, last := o.ControlLayers[0], o.ControlLayers[1]
	switch {
	case first == 0 && last == 0:
	case len(o.ControlVectors) == 0:
		return invalid(op, "there are layers for a control vector, but no control vector")
	case first < 1 || last < first:
		return invalid(op, fmt.Sprintf("the layers of control vectors are %d to %d; the first "+
			"must be 1 or more, and the last not less", first, last))
	}
	return nil
}

// steering reads the control vectors for a model.
func (o *LoadOptions) steering(op string, info *Info) (s llama.Steering, err error) {
	if len(o.ControlVectors) == 0 {
		return s, nil
	}
	width, layers := info.EmbeddingLength, info.Layers
	if width < 1 || layers < 2 {
		return s, unsupported(op, "a control vector needs a model with two layers or more")
	}
	s.First, s.Last = 1, layers-1
	if o.ControlLayers[0] > 0 {
		s.First, s.Last = o.ControlLayers[0], o.ControlLayers[1]
	}
	if s.Last >= layers {
		return s, invalid(op, fmt.Sprintf("the last layer of control vectors is %d; the model has "+
			"those from 1 to %d", s.Last, layers-1))
	}
	s.Data = make([]float32, width*(layers-1))
	for _, c := range o.ControlVectors {
		if err := c.add(s.Data, width); err != nil {
			return s, wrap(op, fmt.Errorf("control vector %s: %w", c.Path,
				withoutPath(err, c.Path)))
		}
	}
	return s, nil
}

// add adds the vector to data, which has so many numbers for each layer from the second on.
func (c *ControlVector) add(data []float32, width int) error {
	f, err := gguf.Open(c.Path)
	if err != nil {
		return err
	}
	file, err := os.Open(c.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	if len(f.Tensors) == 0 {
		return notControl("it has no tensors")
	}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		number, ok := strings.CutPrefix(t.Name, "direction.")
		layer, err := strconv.Atoi(number)
		if !ok || err != nil || layer < 1 {
			return notControl(fmt.Sprintf("its tensor %q is none of direction.1, direction.2, …",
				t.Name))
		}
		if t.Type != gguf.F32 || len(t.Dims) != 1 || t.Dims[0] != uint64(width) {
			return notControl(fmt.Sprintf("its %s is %s %v, and the model needs F32 [%d]", t.Name,
				t.Type, t.Dims, width))
		}
		if layer*width > len(data) {
			return notControl(fmt.Sprintf("it has a direction for layer %d, and the model has "+
				"those from 1 to %d", layer, len(data)/width))
		}
		part := data[(layer-1)*width : layer*width]
		if err := addFloats(part, io.NewSectionReader(file, f.DataOffset+t.Offset, t.Size),
			c.scale()); err != nil {
			return err
		}
	}
	return nil
}

func addFloats(to []float32, from io.Reader, scale float32) error {
	raw := make([]byte, 4*len(to))
	if _, err := io.ReadFull(from, raw); err != nil {
		return err
	}
	for i := range to {
		x := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if to[i] += scale * x; to[i]-to[i] != 0 {
			return notControl("it has numbers that are not finite")
		}
	}
	return nil
}

func notControl(why string) error {
	return &Error{Kind: ErrInvalidOption, Err: errors.New(why)}
}
