package bench

import (
	"fmt"
	"slices"
	"strings"
)

// asked are the tables that users of the first Mullama were promised, with the hardware it named.
// What no committed file tells is said to be not measured; the line under a table says what would.
func asked(results archive) string {
	var b strings.Builder
	b.WriteString(askedBegin)
	for _, table := range []func(archive) *grid{
		askedText, askedTextCPU, askedFirstToken, askedStarts, askedCalls, askedManyCalls,
		askedMapping, askedMemory, askedCache, askedOffload, askedGPUs, askedBatch,
		askedScaling, askedEmbedding, askedDocuments, askedSearch, askedStreaming,
	} {
		table(results).write(&b)
	}
	return b.String()
}

const askedBegin = `## The tables of the first Mullama

Its page of benchmarks had these tables, most of whose cells were "(pending)". They are filled from
the files in bench/results: from those of an NVIDIA H200 where it named an NVIDIA RTX 4090 or A6000,
and from those of two cores of a server for what needs no GPU. Not measured, as the hardware was not
there: NVIDIA RTX 4090, NVIDIA A6000, AMD Ryzen 9 7950X, Intel Xeon w7-2495X, Apple M3 Max,
Raspberry Pi 5. On such a machine "mullama bench" measures all of it, and "mullama bench report"
makes tables of it.

The models named are of random weights, written by "mullama-bench synth" in the exact shapes and
file types; a model's speed and memory depend on those alone. "mullama-bench synth --help" says how
to write one. With --json FILE a command keeps its samples; in bench/results, under a name as the
others there have, "make bench-report" makes these tables of them. A "Llama 3.1 13B" was never
published: the 13B here has the shape of Llama 2 13B.

`

// askedModels are the models of that page, as the names of files have them.
var askedModels = []struct{ title, word string }{
	{"Llama 3.2 1B", "llama3.2-1b"}, {"Llama 3.2 3B", "llama3.2-3b"},
	{"Qwen 2.5 7B", "qwen2.5-7b"}, {"13B", "llama2-13b"},
}

// fillGPU measures models of which the GPU's files have none.
const fillGPU = "`mullama bench streams --streams 1 --peer llama-server=PROGRAM --model FILE` " +
	"with `3b.gguf` and `13b.gguf` on the GPU, about 2 minutes each."

func askedText(all archive) *grid {
	g := &grid{title: "Text generation, GPU (tokens/s)", exact: true,
		head: []string{"model", "in process", "daemon", "llama.cpp alone", "llama-server"},
		with: "streams --peer llama-server=PROGRAM",
		note: "One request of 128 tokens and an answer of 128, after its first token, all layers " +
			"on one NVIDIA H200; where streams were not measured, in process is that of the " +
			"group multi-gpu, with an answer of 64. That page wanted 256, which is " +
			"`--generate-tokens 256`. Apple M3 Max (Metal): not measured.",
		fill: fillGPU}
	for _, m := range askedModels {
		streams := all.find("streams", m.word).on(true)
		native := streams.decode("library")
		baseline := streams.decode("baseline")
		if native == nil {
			row := all.find("multi-gpu", m.word).row("on_1_gpu_tg")
			if row != nil {
				native, baseline = &row.Value, row.Baseline
			}
		}
		g.add(m.title, text(native), text(streams.decode("ours")), text(baseline),
			text(streams.decode("llama-server")))
	}
	return g
}

// askedTextCPU has a row for each machine on which a model was measured.
func askedTextCPU(all archive) *grid {
	g := &grid{title: "Text generation, CPU (tokens/s)", exact: true,
		head: []string{"model", "on", "in process", "daemon", "llama.cpp alone", "llama-server",
			"tokens of an answer"},
		with: "streams --streams 1 --peer llama-server=PROGRAM",
		note: "SmolLM2 is itself. One request, after its first token; where the daemon was not " +
			"measured, in the group offload without layers on the GPU. AVX-512 with 32 threads: " +
			"not measured.",
		fill: "`mullama bench streams --one-at-a-time --streams 1 --rounds 1 --prompt-tokens 32 " +
			"--generate-tokens 16 --peer llama-server=PROGRAM --model 7b.gguf`, which on two " +
			"cores takes about 4 minutes; `--threads 32` on a processor that has as many."}
	models := append([]struct{ title, word string }{{"SmolLM2 135M", "smollm2"}}, askedModels...)
	for _, m := range models {
		rows := len(g.rows)
		for _, r := range fullest(all.find("streams", m.word).on(false)) {
			one := archive{r}
			g.add(m.title, where(r), text(one.decode("library")), text(one.decode("ours")),
				text(one.decode("baseline")), text(one.decode("llama-server")),
				fmt.Sprint(r.Config.GenerateTokens))
		}
		offload := all.find("offload", m.word)
		if row := offload.row("layers_0_tg"); row != nil {
			r := offload[0]
			g.add(m.title, fmt.Sprintf("%d cores%s", r.Machine.Cores, processor(r.Machine.CPU)),
				text(&row.Value), notThere, text(row.Baseline), notThere,
				fmt.Sprint(r.Config.GenerateTokens))
		}
		if len(g.rows) == rows {
			g.add(m.title, "–", notThere, notThere, notThere, notThere, "–")
		}
	}
	return g
}

// fullest has a result of each machine, of those with one request at once: that with the most
// sides.
func fullest(found archive) archive {
	var best archive
	sides := func(r *Result) int { return len(wavesOf(1, r.Waves)) }
	for _, r := range found {
		if sides(r) == 0 {
			continue
		}
		i := slices.IndexFunc(best, func(other *Result) bool { return where(other) == where(r) })
		if i < 0 {
			best = append(best, r)
		} else if sides(r) > sides(best[i]) {
			best[i] = r
		}
	}
	return best
}

func askedFirstToken(all archive) *grid {
	g := &grid{title: "First token (ms)", exact: true,
		head: []string{"model", "in process", "daemon", "more"},
		with: "streams",
		note: "One request of 128 tokens that no cache knows, " +
			"on one NVIDIA H200.",
		fill: fillGPU}
	for _, m := range askedModels {
		streams := all.find("streams", m.word).on(true)
		native := streams.value("streams_1_library_ttft_p50")
		daemon := streams.value("streams_1_ttft_p50")
		g.add(m.title, text(native), text(daemon),
			text(combined(native, daemon, func(n, d float64) float64 { return d - n })))
	}
	return g
}

func askedStarts(all archive) *grid {
	g := &grid{title: "Cold, warm and hot (first token, ms)",
		head: []string{"scenario", "in process", "daemon"},
		with: "load-time",
		note: "SmolLM2 on two cores; the daemon's time is from the " +
			"request, and the load of the model is in it. Hot is a prompt that is cached, of " +
			"the group streaming."}
	load, stream := all.find("load-time", "smollm2"), all.find("streaming", "smollm2")
	ms := func(v *float64) string {
		if v == nil {
			return notThere
		}
		return number(1e3 * *v)
	}
	g.add("cold: the model's file on disk", ms(load.value("mmap_cold_first_token_s")),
		ms(load.value("daemon_cold_first_token_s")))
	g.add("warm: the file in the page cache", ms(load.value("mmap_warm_first_token_s")),
		ms(load.value("daemon_warm_first_token_s")))
	g.add("hot: the model loaded, the prompt cached", text(stream.value("callback_ttft_ms")),
		text(stream.value("sse_ttft_ms")))
	return g
}

// expectedCalls are the medians in microseconds that the page stated for each language.
var expectedCalls = []struct {
	side, expected string
}{{"rust", "~0.5"}, {"c", "~1"}, {"cpp", "~1"}, {"node", "~3"}, {"python", "~5"}, {"go", "~4"},
	{"php", "~8"}, {"http", "~1,500"}}

func askedCalls(all archive) *grid {
	g := &grid{title: "What a call costs (µs)",
		head: []string{"from", "stated there", "p50", "p95", "p99"},
		with: "overhead",
	}
	found := all.find("overhead", "")
	g.note = "A call that makes the tokens of a short text, on " + found.places("c_tokenize_p50") +
		". `make callers` builds the programs in these languages."
	for _, e := range expectedCalls {
		cells := []string{sideNames[e.side], e.expected}
		for _, percent := range percentiles {
			name := fmt.Sprintf("%s_tokenize_p%d", e.side, percent)
			cells = append(cells, text(found.value(name)))
		}
		g.add(cells...)
	}
	return g
}

func askedManyCalls(all archive) *grid {
	g := &grid{title: "What many calls cost (ms)",
		head: []string{"calls", "from C", "over HTTP", "saved"},
		note: "The medians above, times the number of calls."}
	found := all.find("overhead", "")
	native, http := found.value("c_tokenize_p50"), found.value("http_tokenize_p50")
	for _, n := range []float64{1, 10, 100, 1000, 10_000, 100_000} {
		times := func(v *float64) *float64 {
			return combined(v, &n, func(v, n float64) float64 { return v * n / 1e3 })
		}
		g.add(fmt.Sprintf("%.0f", n), text(times(native)), text(times(http)),
			text(combined(times(native), times(http), func(a, b float64) float64 { return b - a })))
	}
	return g
}

func askedMapping(all archive) *grid {
	g := &grid{title: "Loading with and without mmap (7B)", exact: true,
		head: []string{"", "with mmap", "without"},
		with: "load-time",
		note: "Qwen 2.5 7B beside one NVIDIA H200, where all weights go " +
			"to the GPU. Of two processes that map the file, PSS counts what they share by halves."}
	load := all.find("load-time", "qwen2.5-7b")
	for _, q := range []struct{ title, row string }{
		{"load from disk, s", "cold_load_s"}, {"load from the page cache, s", "warm_load_s"},
		{"RSS after loading, MB", "warm_rss_mb"}, {"PSS after loading, MB", "warm_pss_mb"},
	} {
		g.add(q.title, text(load.value("mmap_"+q.row)), text(load.value("read_"+q.row)))
	}
	g.add("PSS of each of two processes, MB", text(load.value("mmap_by_two_processes_pss_mb")), "–")
	return g
}

func askedMemory(all archive) *grid {
	g := &grid{title: "Memory by model (MB)", exact: true,
		head: []string{"model", "file", "peak RSS, GPU", "peak RSS, CPU", "GPU memory"},
		with: "memory",
		note: "A context of 4,096 tokens."}
	for _, m := range askedModels {
		found := all.find("memory", m.word)
		size := notThere
		if len(found) > 0 {
			size = number(float64(found[0].Model.SizeBytes) / 1e6)
		}
		g.add(m.title, size, text(found.value("gpu_peak_rss_mb")),
			text(found.value("cpu_peak_rss_mb")), text(found.value("gpu_device_mb")))
	}
	return g
}

func askedCache(all archive) *grid {
	g := &grid{title: "KV cache (7B, MB)", exact: true,
		head: []string{"context", "f16", "q8_0", "q4_0"},
		with: "kv",
		note: "Qwen 2.5 7B."}
	found := all.find("kv", "qwen2.5-7b")
	for _, size := range []int{2048, 4096, 8192, 16384} {
		cells := []string{fmt.Sprint(size)}
		for _, kind := range []string{"f16", "q8_0", "q4_0"} {
			name := fmt.Sprintf("%s_%d_tokens_cache_mb", kind, size)
			cells = append(cells, text(found.value(name)))
		}
		g.add(cells...)
	}
	return g
}
