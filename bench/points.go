package bench

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Point is what one round measured of one case, such as "layers 10" of the group offload.
type Point struct {
	Round    int                `json:"round"`
	Case     string             `json:"case"`
	Values   map[string]float64 `json:"values"`
	Baseline map[string]float64 `json:"baseline,omitempty"` // llama.cpp alone, in the same round
}

// column is a quantity of points.
type column struct {
	key, unit, title string
}

// pointColumns are the quantities of each group that consists of points, in the order of tables.
var pointColumns = map[string][]column{
	"offload": {
		{"pp", "tokens/s", "prompt, tokens/s"}, {"tg", "tokens/s", "generation, tokens/s"},
		{"device_mb", "MB", "GPU memory, MB"}, {"smi_mb", "MB", "by nvidia-smi"},
		{"plan_device_mb", "MB", "by the dry run"}, {"peak_rss_mb", "MB", "peak RSS, MB"},
	},
	"multi-gpu": {
		{"pp", "tokens/s", "prompt, tokens/s"}, {"tg", "tokens/s", "generation, tokens/s"},
		{"device_mb", "MB", "memory of all GPUs, MB"},
	},
	"kv": {
		{"cache_mb", "MB", "cache, MB"}, {"compute_mb", "MB", "buffers, MB"},
		{"measured_mb", "MB", "both as measured"},
		{"pp", "tokens/s", "prompt, tokens/s"}, {"tg", "tokens/s", "generation, tokens/s"},
	},
	"kv-quality": {
		{"same_percent", "%", "same tokens, %"}, {"same_texts", "", "same texts of 8"},
		{"first_difference", "tokens", "first other token, median"},
		{"perplexity", "", "perplexity"}, {"perplexity_more_percent", "%", "more than f16, %"},
	},
	"memory": {
		{"peak_rss_mb", "MB", "peak RSS, MB"}, {"rss_mb", "MB", "RSS, MB"},
		{"rss_file_mb", "MB", "of it the file's pages"},
		{"device_mb", "MB", "GPU memory, MB"}, {"smi_mb", "MB", "by nvidia-smi"},
		{"plan_weights_mb", "MB", "weights, MB"}, {"plan_cache_mb", "MB", "cache, MB"},
		{"plan_compute_mb", "MB", "buffers, MB"},
	},
	"maxsim": {
		{"search_ms", "ms", "search, ms"}, {"a_query_ms", "ms", "of it a query's, ms"},
		{"limit_ms", "ms", "limit of the machine, ms"},
		{"of_limit_percent", "%", "of it reached, %"}, {"gmacs", "Gmac/s", "multiply-adds, 1e9/s"},
		{"gbs", "GB/s", "read, GB/s"}, {"first_ms", "ms", "first search, ms"},
		{"open_ms", "ms", "open, ms"}, {"opened_mb", "MB", "in memory when opened, MB"},
		{"searched_mb", "MB", "when searched, MB"},
		{"bandwidth_gbs", "GB/s", "copying on the device, GB/s"},
		{"of_bandwidth_percent", "%", "of it reached, %"},
		{"device_mb", "MB", "on the device, MB"}, {"upload_s", "s", "upload, s"},
	},
	"batch": {
		{"seconds", "s", "in all, s"}, {"prompts_s", "prompts/s", "prompts/s"},
		{"tokens_s", "tokens/s", "generated, tokens/s"},
	},
	"streaming": {
		{"gap_p50_ms", "ms", "gap p50, ms"}, {"gap_p95_ms", "ms", "p95"},
		{"gap_p99_ms", "ms", "p99"}, {"jitter_ms", "ms", "jitter, ms"},
		{"ttft_ms", "ms", "first token, ms"}, {"tokens_s", "tokens/s", "tokens/s"},
	},
	"draft": {
		{"tg", "tokens/s", "generation, tokens/s"}, {"drafted", "tokens", "guessed"},
		{"accepted_percent", "%", "guessed right, %"}, {"tokens_step", "tokens", "tokens a step"},
	},
	"store": {
		{"list_ms", "ms", "list, ms"}, {"mbs", "MB/s", "MB/s"},
		{"cpu_s_gb", "s/GB", "all cores, s/GB"},
		{"beyond_ms", "ms", "beyond the hash, ms"}, {"quantize_s", "s", "quantise, s"},
	},
	"embedding": {{"texts", "texts/s", "texts/s"}},
	"load-time": {
		{"load_s", "s", "load, s"}, {"first_token_s", "s", "first token, s"},
		{"disk_mb", "MB", "read from disk, MB"}, {"rss_mb", "MB", "RSS, MB"},
		{"rss_file_mb", "MB", "of it the file's pages"}, {"pss_mb", "MB", "PSS, MB"},
	},
}

// baselineOf is what the points of a group are compared with.
func baselineOf(group string) string {
	if group == "draft" {
		return "the same without"
	}
	return "llama.cpp"
}

// casesOf returns the cases in the order in which they were measured.
func casesOf(points []Point) []string {
	var cases []string
	for _, p := range points {
		if !slices.Contains(cases, p.Case) {
			cases = append(cases, p.Case)
		}
	}
	return cases
}

// pointRows computes a row for each case and quantity that was measured.
func pointRows(group string, points []Point) []Row {
	var rows []Row
	for _, name := range casesOf(points) {
		for _, c := range pointColumns[group] {
			r := Row{Name: slug(name) + "_" + c.key, Unit: c.unit}
			for _, p := range points {
				if v, ok := p.Values[c.key]; ok && p.Case == name {
					r.Samples = append(r.Samples, v)
				}
				if v, ok := p.Baseline[c.key]; ok && p.Case == name {
					r.BaselineSamples = append(r.BaselineSamples, v)
				}
			}
			if len(r.Samples) > 0 {
				r.compare()
				rows = append(rows, r)
			}
		}
	}
	return rows
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// slug makes a case a part of a row's name.
func slug(name string) string {
	return strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "_"), "_")
}

// pointsTables writes a table of all cases, and one of those that a device computed.
func pointsTables(b *strings.Builder, r *Result) {
	var here, there []string
	for _, name := range casesOf(r.Points) {
		if r.Group == "maxsim" && strings.Contains(name, onDevice) {
			there = append(there, name)
		} else {
			here = append(here, name)
		}
	}
	if len(here) > 0 {
		pointsTable(b, r, here)
	}
	if len(here) > 0 && len(there) > 0 {
		fmt.Fprint(b, "\n")
	}
	if len(there) > 0 {
		pointsTable(b, r, there)
	}
}

// pointsTable writes a line for each case, with a column for each quantity that any of them has,
// and beside those that llama.cpp alone has as well, a column for the ratio.
func pointsTable(b *strings.Builder, r *Result, cases []string) {
	rows := map[string]Row{}
	for _, row := range r.Rows {
		rows[row.Name] = row
	}
	lines := make([][]string, len(cases)+2)
	lines[0], lines[1] = []string{"case"}, []string{"---"}
	for i, name := range cases {
		lines[i+2] = []string{name}
	}
	for _, c := range pointColumns[r.Group] {
		has := func(name string) bool { return len(rows[slug(name)+"_"+c.key].Samples) > 0 }
		if !slices.ContainsFunc(cases, has) {
			continue
		}
		compared := slices.ContainsFunc(cases, func(name string) bool {
			return rows[slug(name)+"_"+c.key].Ratio != nil
		})
		lines[0], lines[1] = append(lines[0], c.title), append(lines[1], "--:")
		if compared {
			lines[0] = append(lines[0], "of "+baselineOf(r.Group))
			lines[1] = append(lines[1], "--:")
		}
		for i, name := range cases {
			row, text := rows[slug(name)+"_"+c.key], "–"
			if has(name) {
				text = number(row.Value)
			}
			lines[i+2] = append(lines[i+2], text)
			if compared {
				ratio := ratioText(row.Ratio)
				if row.RatioLow != nil {
					ratio += " (" + boundsText(row) + ")"
				}
				lines[i+2] = append(lines[i+2], ratio)
			}
		}
	}
	for i, line := range lines {
		if i == 1 {
			fmt.Fprintf(b, "|%s|\n", strings.Join(line, "|"))
		} else {
			fmt.Fprintf(b, "| %s |\n", strings.Join(line, " | "))
		}
	}
}
