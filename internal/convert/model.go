package convert

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/safetensors"
)

// ErrUnsupported is the kind of errors for models that are not converted.
var ErrUnsupported = errors.New("not converted")

// architectures are the classes of models that are converted, as config.json names them.
var architectures = map[string]string{
	"LlamaForCausalLM":              "llama",
	"Qwen2ForCausalLM":              "qwen2",
	"BertModel":                     "bert",
	"BertForMaskedLM":               "bert",
	"HF_ColBERT":                    "bert",
	"BertForSequenceClassification": "bert",
}

// Supported names what is converted.
const Supported = "LlamaForCausalLM, Qwen2ForCausalLM and BertModel"

// Model writes the model that lies in a folder in Hugging Face's layout, with its matrices in F16.
// Errors of the kind [ErrUnsupported] say what there is no conversion for.
func Model(out io.Writer, folder fs.FS, name string) error {
	var c struct {
		Architectures []string `json:"architectures"`
	}
	if err := readJSON(folder, "config.json", &c); err != nil {
		return err
	}
	if len(c.Architectures) == 0 {
		return fmt.Errorf("%w: config.json names no architecture", ErrUnsupported)
	}
	switch arch := architectures[c.Architectures[0]]; arch {
	case "":
		return fmt.Errorf("%w: the architecture is %.60q; those that are converted are %s",
			ErrUnsupported, c.Architectures[0], Supported)
	case "bert":
		if c.Architectures[0] == "BertForSequenceClassification" {
			return fmt.Errorf("%w: a BERT model with a head that classifies", ErrUnsupported)
		}
		return BERT(out, folder, BERTOptions{Name: name, License: "unknown", Type: gguf.F16})
	default:
		return text(out, folder, arch, name)
	}
}

// weightFiles are the open files of a model's tensors.
type weightFiles struct {
	files   []fs.File
	tensors map[string]found
}

type found struct {
	file   *safetensors.File
	tensor *safetensors.Tensor
}

func openWeights(folder fs.FS) (*weightFiles, error) {
	names, err := fs.Glob(folder, "*.safetensors")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("there is no file with the ending .safetensors")
	}
	w := &weightFiles{tensors: map[string]found{}}
	for _, name := range names {
		if err := w.open(folder, name); err != nil {
			w.Close()
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return w, nil
}

func (w *weightFiles) open(folder fs.FS, name string) error {
	file, err := folder.Open(name)
	if err != nil {
		return err
	}
	w.files = append(w.files, file)
	info, err := file.Stat()
	if err != nil {
		return err
	}
	at, ok := file.(io.ReaderAt)
	if !ok {
		return errors.New("it cannot be read from any place")
	}
	f, err := safetensors.Read(at, info.Size())
	if err != nil {
		return err
	}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if _, twice := w.tensors[t.Name]; twice {
			return fmt.Errorf("tensor %q is in two files", t.Name)
		}
		w.tensors[t.Name] = found{f, t}
	}
	return nil
}

// Close closes the files.
func (w *weightFiles) Close() {
	for _, f := range w.files {
		_ = f.Close() // they were only read
	}
}

// names are those of the tensors in order.
func (w *weightFiles) names() []string {
	var all []string
	for name := range w.tensors {
		all = append(all, name)
	}
	slices.SortFunc(all, strings.Compare)
	return all
}
