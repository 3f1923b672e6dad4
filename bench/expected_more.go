package bench

import (
	"fmt"
	"slices"
)

func askedOffload(all archive) *grid {
	g := &grid{title: "Layers on the GPU (7B)", exact: true,
		head: []string{"layers", "tokens/s", "llama.cpp alone", "GPU memory, MB"},
		with: "offload --layers 0,10,20,25,all",
		note: "Qwen 2.5 7B, which has 28 layers, on " +
			"one NVIDIA H200 beside 16 cores."}
	found := all.find("offload", "qwen2.5-7b")
	for _, layers := range []string{"0", "10", "20", "25", "all"} {
		name := "layers_" + layers
		var alone *float64
		if row := found.row(name + "_tg"); row != nil {
			alone = row.Baseline
		}
		g.add(layers, text(found.value(name+"_tg")), text(alone),
			text(found.value(name+"_device_mb")))
	}
	return g
}

func askedGPUs(all archive) *grid {
	g := &grid{title: "Several GPUs (tokens/s)", exact: true, head: []string{"", "7B", "13B"},
		with: "multi-gpu",
		note: "NVIDIA H200, which NVLink connects; both models fit on " +
			"one. Two GPUs with 24 GB: not measured."}
	for _, q := range []struct{ title, row string }{
		{"one GPU", "on_1_gpu_tg"}, {"two, layers shared", "on_2_gpus_layer_tg"},
		{"two, tensors shared", "on_2_gpus_tensor_tg"},
	} {
		cells := []string{q.title}
		for _, model := range []string{"qwen2.5-7b", "llama2-13b"} {
			cells = append(cells, text(all.find("multi-gpu", model).value(q.row)))
		}
		g.add(cells...)
	}
	return g
}

// batchRow is what a work of the group batch tells, in the first result that has it.
func batchRow(found archive, prompts, slots, threads int) *float64 {
	for _, r := range found {
		for _, c := range batchCases(r) {
			if c.prompts == prompts && c.slots == slots && c.threads == threads {
				return new(float64(prompts) / c.seconds)
			}
		}
	}
	return nil
}

// batchThreads are the numbers of threads of results and others, smallest first.
func batchThreads(found archive, others ...int) []int {
	for _, r := range found {
		for _, c := range batchCases(r) {
			others = append(others, c.threads)
		}
	}
	slices.Sort(others)
	return slices.Compact(others)
}

// askedBatch has a column for each number of threads that was asked for or measured.
func askedBatch(all archive) *grid {
	g := &grid{title: "Many prompts (prompts/s)",
		head: []string{"prompts", "one by one, 1 thread"},
		with: "batch",
		note: "SmolLM2, prompts and answers of 32 tokens, 8 at once in the " +
			"columns of threads. The page counted threads of Rayon; here prompts share the " +
			"steps of one model, and threads are those of a step.",
		fill: "`mullama bench batch --prompts 500 --slots 8 --thread-counts 1 --rounds 1 " +
			"--model FILE`, which on two cores takes about 4 minutes; for more threads, " +
			"`mullama bench batch --prompts 10,50,100,500 --slots 8 --thread-counts 8,16,32 " +
			"--rounds 1 --model FILE` on a processor with 32 cores."}
	found := all.find("batch", "smollm2")
	g.note += " On " + found.places() + "."
	threads := batchThreads(found, 8, 16, 32)
	for _, t := range threads {
		head := fmt.Sprintf("at once, %d threads", t)
		if t == 1 {
			head = "at once, 1 thread"
		}
		g.head = append(g.head, head)
	}
	for _, prompts := range []int{10, 50, 100, 500} {
		cells := []string{fmt.Sprint(prompts), text(batchRow(found, prompts, 0, 1))}
		for _, t := range threads {
			cells = append(cells, text(batchRow(found, prompts, batchSlots, t)))
		}
		g.add(cells...)
	}
	return g
}

// askedScaling is of the machine with the most cores.
func askedScaling(all archive) *grid {
	g := &grid{title: "Speed-up by threads (100 prompts)",
		head: []string{"threads", "one by one", "8 at once", "of ideal"},
		with: "batch"}
	found := slices.DeleteFunc(all.find("batch", "smollm2"), func(r *Result) bool {
		return batchRow(archive{r}, 100, 0, 1) == nil
	})
	if len(found) == 0 {
		g.add("1", notThere, notThere, notThere)
		return g
	}
	most := slices.MaxFunc(found, func(a, b *Result) int {
		return a.Machine.Cores - b.Machine.Cores
	})
	g.note = fmt.Sprintf("SmolLM2, on %s. More threads than %d: not measured, as no processor "+
		"with as many cores was there.", where(most), most.Machine.Cores)
	over := func(slots, threads int) *float64 {
		return combined(batchRow(archive{most}, 100, slots, threads),
			batchRow(archive{most}, 100, slots, 1), func(n, one float64) float64 { return n / one })
	}
	for _, t := range batchThreads(archive{most}) {
		eight := over(batchSlots, t)
		ideal := float64(t)
		g.add(fmt.Sprint(t), text(over(0, t)), text(eight),
			text(combined(eight, &ideal, func(n, ideal float64) float64 { return n / ideal })))
	}
	return g
}

func askedEmbedding(all archive) *grid {
	g := &grid{title: "Embeddings (texts/s)",
		head: []string{"tokens of a text", "in process", "daemon", "times as fast"},
		with: "embedding",
	}
	found := all.find("embedding", "minilm-f16") // of two cores first: their names are shorter
	g.note = "MiniLM in F16, one text a call, on " +
		found.places("mullama_64_tokens_calls_of_1_texts") + "."
	for _, length := range []int{16, 64, 256, 512} {
		name := fmt.Sprintf("_%d_tokens_calls_of_1_texts", length)
		native, daemon := found.value("library"+name), found.value("mullama"+name)
		g.add(fmt.Sprint(length), text(native), text(daemon),
			text(combined(native, daemon, func(n, d float64) float64 { return n / d })))
	}
	return g
}

func askedDocuments(all archive) *grid {
	g := &grid{title: "Collections of documents (texts/s)",
		head: []string{"documents", "one by one", "in calls of 256", "daemon, in calls of 256",
			"in calls of 256, 8 threads"},
		with: "embedding",
		fill: "`mullama bench embedding --documents 100,1000,10000 --lengths 16 --batches 1 " +
			"--rounds 1 --threads 8 --model FILE` on a machine with 8 cores, and without " +
			"`--threads 8` what two cores lack, in about 5 minutes."}
	found := all.find("embedding", "minilm-f16")
	with := func(eight bool) archive {
		return slices.DeleteFunc(slices.Clone(found), func(r *Result) bool {
			return (r.Config.Threads == 8) != eight
		})
	}
	usual, eight := with(false), with(true)
	g.note = "MiniLM in F16, documents of 8 to 24 tokens, on " +
		usual.places("library_100_documents_calls_of_256_texts",
			"library_10000_documents_calls_of_256_texts") + ", and with 8 threads on " +
		eight.places("library_100_documents_calls_of_256_texts") + " that has as many cores."
	for _, n := range []int{100, 1000, 10_000} {
		calls := fmt.Sprintf("%d_documents_calls_of_256_texts", n)
		g.add(fmt.Sprint(n),
			text(usual.value(fmt.Sprintf("library_%d_documents_one_by_one_texts", n))),
			text(usual.value("library_"+calls)), text(usual.value("mullama_"+calls)),
			text(eight.value("library_"+calls)))
	}
	return g
}

func askedSearch(all archive) *grid {
	g := &grid{title: "Late interaction (ms for a search)",
		head: []string{"documents", "1 thread", "2 threads", "searches/s", "limit of the machine",
			"16 threads", "GPU", "flash-maxsim there"},
		with: "maxsim --docs 1000,10000,100000",
	}
	found := all.find("maxsim", "")
	g.note = "Vectors in f16, on " + found.places("f16_1000_documents_2_threads_search_ms",
		"f16_100000_documents_2_threads_search_ms") +
		", with the time that it needs at least with two threads; the columns from 16 threads on " +
		"are of a machine with a GPU, " +
		found.places("f16_on_cuda0_1000_documents_1_query_search_ms") +
		", which `--device CUDA0 --thread-counts 16 --gpu-python PYTHON` measures there."
	for _, n := range []int{1000, 10_000, 100_000} {
		name := func(threads int) string {
			return fmt.Sprintf("f16_%d_documents_%d_threads_", n, threads)
		}
		two := found.value(name(2) + "search_ms")
		second := 1000.0
		onGPU := fmt.Sprintf("f16_on_cuda0_%d_documents_1_query_search_ms", n)
		g.add(fmt.Sprint(n), text(found.value(name(1)+"search_ms")), text(two),
			text(combined(&second, two, func(s, ms float64) float64 { return s / ms })),
			text(found.value(name(2)+"limit_ms")), text(found.value(name(16)+"search_ms")),
			text(found.value(onGPU)), text(found.value("flash_maxsim_"+onGPU)))
	}
	return g
}

func askedStreaming(all archive) *grid {
	g := &grid{title: "Time between tokens (ms)",
		head: []string{"way", "p50", "p95", "p99", "jitter"},
		with: "streaming",
		note: "SmolLM2, one answer at a time. Jitter is the standard " +
			"deviation."}
	found := all.find("streaming", "")
	for _, way := range streamingWays {
		cells := []string{way.title}
		for _, key := range []string{"gap_p50_ms", "gap_p95_ms", "gap_p99_ms", "jitter_ms"} {
			cells = append(cells, text(found.value(way.name+"_"+key)))
		}
		g.add(cells...)
	}
	return g
}
