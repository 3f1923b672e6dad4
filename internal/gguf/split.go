package gguf

import (
	"fmt"
	"regexp"
	"strconv"
)

// Split says which part of a model in several files a file is.
type Split struct {
	// Number is the part's number, from 0.
	Number int
	// Count is the number of parts.
	Count int
	// Tensors is the number of tensors in all parts, or 0 if the file does not say.
	Tensors int
}

// Split returns the part that the file says it is, and false for a model in one file.
func (f *File) Split() (Split, bool) {
	count, ok := f.Uint("split.count")
	if !ok || count < 2 || count > maxCount {
		return Split{}, false
	}
	number, _ := f.Uint("split.no")
	tensors, _ := f.Uint("split.tensors.count")
	return Split{
		Number:  int(min(number, count-1)),
		Count:   int(count),
		Tensors: int(min(tensors, maxCount)),
	}, true
}

// splitName is the naming that llama.cpp requires of the parts: model-00001-of-00003.gguf.
var splitName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// SplitPaths returns the paths of all parts in order if path is named like one of them, else nil.
func SplitPaths(path string) []string {
	m := splitName.FindStringSubmatch(path)
	if m == nil {
		return nil
	}
	number, _ := strconv.Atoi(m[2])
	count, _ := strconv.Atoi(m[3])
	if number < 1 || number > count {
		return nil
	}
	paths := make([]string, count)
	for i := range paths {
		paths[i] = fmt.Sprintf("%s-%05d-of-%05d.gguf", m[1], i+1, count)
	}
	return paths
}
