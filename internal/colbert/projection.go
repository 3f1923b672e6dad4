package colbert

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/safetensors"
)

const modulesFile = "modules.json"

// Projection is what a model multiplies the vectors of tokens by: Out rows of In numbers.
type Projection struct {
	In, Out int
	Weight  []float32
	Bias    []float32 // nil: none
}

// dense is the configuration of a module that multiplies.
type dense struct {
	In         int    `json:"in_features"`
	Out        int    `json:"out_features"`
	Activation string `json:"activation_function"`
	Residual   bool   `json:"use_residual"`
}

// ReadProjection reads the modules of a folder in sentence-transformers' layout that come after a
// model whose vectors have so many numbers, and makes one of them. It returns nil if there is none.
func ReadProjection(folder fs.FS, width int) (*Projection, error) {
	modules, err := denseFolders(folder)
	if err != nil {
		return nil, err
	}
	var all *Projection
	for _, name := range modules {
		next, err := readDense(folder, name)
		if err != nil {
			return nil, err
		}
		if next.In != width {
			return nil, fmt.Errorf("%s takes vectors of %d numbers, and gets those of %d", name,
				next.In, width)
		}
		width = next.Out
		if all != nil {
			next = all.then(next)
		}
		all = next
	}
	return all, nil
}

// denseFolders are the folders of the modules that multiply, in their order.
func denseFolders(folder fs.FS) ([]string, error) {
	var modules []struct{ Path, Type string }
	if _, err := readJSON(folder, modulesFile, &modules); err != nil {
		return nil, err
	}
	var found []string
	for _, m := range modules {
		switch kind := m.Type[strings.LastIndex(m.Type, ".")+1:]; {
		case kind == "Dense" && fs.ValidPath(m.Path):
			found = append(found, m.Path)
		case kind != "Transformer" && kind != "Normalize":
			return nil, fmt.Errorf("%w: the module %.80q of a model for late interaction",
				ErrUnsupported, m.Type)
		}
	}
	return found, nil
}

func readDense(folder fs.FS, name string) (*Projection, error) {
	var c dense
	config, weights := path.Join(name, "config.json"), path.Join(name, "model.safetensors")
	if found, err := readJSON(folder, config, &c); err != nil || !found {
		if err == nil {
			err = fmt.Errorf("there is no %s", config)
		}
		return nil, err
	}
	if c.Activation != "" && !strings.HasSuffix(c.Activation, ".Identity") {
		return nil, fmt.Errorf("%w: the activation function %.80q in %s", ErrUnsupported,
			c.Activation, config)
	}
	const most = 1 << 16
	if c.In < 1 || c.Out < 1 || c.In > most || c.Out > most {
		return nil, fmt.Errorf("%s makes vectors of %d numbers from those of %d", config, c.Out,
			c.In)
	}
	text, err := fs.ReadFile(folder, weights)
	if err != nil {
		return nil, fmt.Errorf("there is no %s", weights)
	}
	file, err := safetensors.Read(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", weights, err)
	}
	p, err := c.project(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", weights, err)
	}
	return p, nil
}

// project makes a projection of the tensors of a module.
func (c *dense) project(file *safetensors.File) (*Projection, error) {
	p := &Projection{In: c.In, Out: c.Out}
	var err error
	if p.Weight, err = Tensor(file, "linear.weight", c.Out, c.In); err != nil {
		return nil, err
	}
	if file.Find("linear.bias") != nil {
		if p.Bias, err = Tensor(file, "linear.bias", c.Out); err != nil {
			return nil, err
		}
	}
	switch {
	case !c.Residual:
	case c.In == c.Out:
		for i := range c.In {
			p.Weight[i*c.In+i]++
		}
	default:
		residual, err := Tensor(file, "residual.weight", c.Out, c.In)
		if err != nil {
			return nil, err
		}
		for i, x := range residual {
			p.Weight[i] += x
		}
	}
	return p, nil
}

// Tensor reads a tensor that must have a shape.
func Tensor(file *safetensors.File, name string, shape ...int) ([]float32, error) {
	t := file.Find(name)
	if t == nil {
		return nil, fmt.Errorf("there is no tensor %q", name)
	}
	if !slices.EqualFunc(t.Shape, shape, func(a uint64, b int) bool { return a == uint64(b) }) {
		return nil, fmt.Errorf("tensor %q has the shape %v, not %v", name, t.Shape, shape)
	}
	return file.Floats(t)
}

// then is p followed by q.
func (p *Projection) then(q *Projection) *Projection {
	both := &Projection{In: p.In, Out: q.Out, Weight: make([]float32, p.In*q.Out)}
	sums := make([]float64, p.In)
	for row := range q.Out {
		clear(sums)
		for i, x := range q.Weight[row*q.In:][:q.In] {
			for column, y := range p.Weight[i*p.In:][:p.In] {
				sums[column] += float64(x) * float64(y)
			}
		}
		for column, sum := range sums {
			both.Weight[row*p.In+column] = float32(sum)
		}
	}
	if p.Bias == nil {
		both.Bias = q.Bias
		return both
	}
	both.Bias = make([]float32, q.Out)
	for row := range both.Bias {
		sum := 0.0
		if q.Bias != nil {
			sum = float64(q.Bias[row])
		}
		for i, x := range q.Weight[row*q.In:][:q.In] {
			sum += float64(x) * float64(p.Bias[i])
		}
		both.Bias[row] = float32(sum)
	}
	return both
}
