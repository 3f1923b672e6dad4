package bench

import (
	"fmt"
	"slices"
	"strings"
)

// sideTitles are how a table names the sides, in its order; peers come last.
var sideTitles = []struct{ side, name string }{
	{"unsampled", "llama.cpp, no sampling"}, {"baseline", "llama.cpp"},
	{"ours", "Mullama over HTTP"}, {"library", "Mullama in process"},
	{"llama-server", "llama-server"}, {"ollama", "Ollama"},
	{"llama-cpp-python", "llama-cpp-python"}, {"node-llama-cpp", "node-llama-cpp"},
}

// manySides tells whether a result of the group streams has more sides than a table of rows can
// show side by side.
func manySides(r *Result) bool {
	return slices.ContainsFunc(r.Waves, func(w Wave) bool {
		return w.Side == "unsampled" || w.Side == "library"
	})
}

// streamsTable writes a line for each width and side.
func streamsTable(b *strings.Builder, r *Result) {
	fmt.Fprint(b, "| requests | side | tokens/s | of llama.cpp | of it, no sampling | while all"+
		" generate | of llama.cpp | of it, no sampling | first token p50, ms | gap p99, ms |\n")
	fmt.Fprint(b, "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, width := range widthsOf(r.Waves) {
		of := wavesOf(width, r.Waves)
		for _, s := range sideTitles {
			if len(of[s.side]) > 0 {
				sideLine(b, width, s.name, of[s.side], of)
			}
		}
	}
}

func sideLine(b *strings.Builder, width int, name string, waves []Wave, of map[string][]Wave) {
	speed, decode := middle(waveSpeeds(waves)), middle(waveDecodes(waves))
	fmt.Fprintf(b, "| %d | %s | %s | %s | %s | %s | %s | %s |", width, name, optional(speed),
		over(speed, middle(waveSpeeds(of["baseline"]))),
		over(speed, middle(waveSpeeds(of["unsampled"]))), optional(decode),
		over(decode, middle(waveDecodes(of["baseline"]))),
		over(decode, middle(waveDecodes(of["unsampled"]))))
	var first, gap []float64
	for _, w := range waves {
		if w.Load != nil {
			first, gap = append(first, w.Load.FirstToken.P50), append(gap, w.Load.Gap.P99)
		}
	}
	fmt.Fprintf(b, " %s | %s |\n", optional(middle(first)), optional(middle(gap)))
}

// widthsOf returns the numbers of streams, smallest first.
func widthsOf(all []Wave) []int {
	var widths []int
	for _, w := range all {
		if !slices.Contains(widths, w.Streams) {
			widths = append(widths, w.Streams)
		}
	}
	slices.Sort(widths)
	return widths
}

// middle is the median, nil of nothing.
func middle(values []float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	return new(median(values))
}

// over says a ratio of two numbers that may be missing.
func over(a, b *float64) string {
	if a == nil || b == nil {
		return ratioText(nil)
	}
	return ratioText(new(*a / *b))
}
