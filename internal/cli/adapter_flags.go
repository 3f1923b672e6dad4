package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// splitScale takes FILE=SCALE apart. A file of the whole name is that file.
func splitScale(text string) (path string, scale *float32) {
	i := strings.LastIndexByte(text, '=')
	if i < 0 || exists(text) {
		return text, nil
	}
	if n, err := parseNumber(text[i+1:]); err == nil {
		return text[:i], &n
	}
	return text, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// defineAdapters declares the flags for what is put on top of a model.
func defineAdapters(set *pflag.FlagSet, o *mullama.LoadOptions) {
	lora := func(path string, scale *float32) {
		o.Adapters = append(o.Adapters, mullama.Adapter{Path: path, Scale: scale})
	}
	set.Var(scaledFlag(lora), "lora",
		"apply a LoRA adapter, as FILE or FILE=SCALE (repeatable)")
	control := func(path string, scale *float32) {
		o.ControlVectors = append(o.ControlVectors,
			mullama.ControlVector{Path: path, Scale: scale})
	}
	set.Var(scaledFlag(control), "control-vector",
		"add a control vector to the outputs of layers, as FILE or FILE=SCALE (repeatable)")
	set.Var(layerRangeFlag(&o.ControlLayers), "control-vector-layers",
		"the layers that control vectors are added to, as FIRST-LAST (default: all)")
}

// scaledFlag is a repeatable flag for a file and how strong it is.
func scaledFlag(add func(path string, scale *float32)) *value {
	return &value{
		kind: "file",
		get:  func() string { return "" },
		set: func(text string) error {
			add(splitScale(text))
			return nil
		},
	}
}

// layerRangeFlag is a flag for the first and the last of some layers.
func layerRangeFlag(at *[2]int) *value {
	return &value{
		kind: "range",
		get:  func() string { return "" },
		set: func(text string) error {
			first, last, _ := strings.Cut(text, "-")
			a, errA := parseInteger(first)
			b, errB := parseInteger(last)
			if errA != nil || errB != nil || a < 1 || b < a {
				return fmt.Errorf("%q is not two layers such as 5-20", text)
			}
			*at = [2]int{a, b}
			return nil
		},
	}
}
