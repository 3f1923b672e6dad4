package bench

import (
	"slices"
	"strings"
)

// peerWords are how --peer is told where a peer is. Others are programs.
var peerWords = map[string]string{"llama-cpp-python": "PYTHON", "node-llama-cpp": "MODULES"}

// again is the command that measures a result anew. A command leaves out where this machine has its
// peers, so those that were measured are named here, without their places.
func again(r *Result) string {
	words := []string{r.Command}
	add := func(flag, value string) {
		if word := "--" + flag + " " + value; !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	if r.Group == "streams" {
		for _, side := range sidesOf(r.Waves) {
			if word := peerWords[side]; word != "" {
				add("peer", side+"="+word)
			} else if side != "ours" && side != "library" {
				add("peer", side+"=PROGRAM")
			}
		}
	}
	for _, name := range casesOf(r.Points) {
		side, _, _ := strings.Cut(name, ": ")
		kind, _, _ := strings.Cut(name, ",")
		switch {
		case r.Group == "embedding" && peerServers[side] != nil:
			add("peer", side+"=PROGRAM")
		case strings.HasPrefix(side, "onnxruntime-"), kind == "numpy f32", kind == "maxsim_cpu f32":
			add("python", "PYTHON")
		case strings.HasPrefix(side, "fastembed-"), side == "sentence-transformers",
			kind == "pylate f32":
			add("torch", "PYTHON")
		case strings.HasPrefix(name, "quantise from ") && hasBaseline(r, name):
			add("llama-quantize", "PROGRAM")
		}
	}
	slices.Sort(words[1:])
	return strings.Join(words, " ")
}

// hasBaseline tells whether a case was measured beside another program.
func hasBaseline(r *Result, name string) bool {
	return slices.ContainsFunc(r.Points, func(p Point) bool {
		return p.Case == name && len(p.Baseline) > 0
	})
}
