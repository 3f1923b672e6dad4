package mullama_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

func TestOpenWithoutTheLibrarySaysHowToBuildIt(t *testing.T) {
	rt, err := mullama.Open(mullama.Options{LibraryDir: t.TempDir()})
	if rt != nil {
		t.Error("got a runtime without a library")
	}
	wantKind(t, err, mullama.ErrLibraryMissing, "make native")
}

func TestOpenRefusesAFileThatIsNoLibrary(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"libmullama-native.so", "libmullama-native.dylib"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := mullama.Open(mullama.Options{LibraryDir: dir})
	wantKind(t, err, mullama.ErrLibraryMissing, dir, "make native")
}

func TestRuntimeDescribesEngineAndDevices(t *testing.T) {
	rt := openRuntime(t)
	e := rt.Engine()
	if e.Version == "" || e.System == "" || !filepath.IsAbs(e.Library) {
		t.Errorf("Engine() = %+v; want all fields", e)
	}
	devices := rt.Devices()
	cpu := slices.IndexFunc(devices, func(d mullama.Device) bool {
		return d.Kind == mullama.DeviceCPU
	})
	if cpu < 0 || devices[cpu].Name == "" || devices[cpu].MemoryTotal == 0 {
		t.Errorf("Devices() = %+v; want a CPU with memory", devices)
	}
}

// loads counts how often the weights are really loaded: just that begins with 0.
type loads struct {
	mu    sync.Mutex
	steps []float32
	began int
	ended int
}

func (l *loads) progress(fraction float32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, fraction)
	if fraction == 0 {
		l.began++
	}
	if fraction >= 1 {
		l.ended++
	}
}

func (l *loads) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.began
}

func TestLoadSharesModelsAndWeights(t *testing.T) {
	noLeaks(t)
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	var seen loads
	get := func(o mullama.LoadOptions) *mullama.Model {
		o.Threads, o.Progress = 1, seen.progress
		return load(t, rt, path, o)
	}
	first := get(mullama.LoadOptions{})
	same := get(mullama.LoadOptions{})
	other := get(mullama.LoadOptions{ContextSize: 128, Slots: 2, KVTypeK: "q8_0"})
	if n := seen.count(); n != 1 {
		t.Errorf("weights were loaded %d times for one file; want 1", n)
	}
	if first.ContextSize() != 512 || other.ContextSize() != 128 || other.Slots() != 2 {
		t.Errorf("contexts of %d and %d, %d slots; want 512, 128 and 2", first.ContextSize(),
			other.ContextSize(), other.Slots())
	}
	get(mullama.LoadOptions{LoadMode: "read"}).Close()
	if n := seen.count(); n != 2 {
		t.Errorf("%d loads after one with another load mode; want 2", n)
	}

	first.Close()
	first.Close() // closing twice must not take the share of the other handle
	for _, m := range []*mullama.Model{same, other} {
		if got := generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 3}); got.Text == "" {
			t.Error("a model that shares with a closed one generates nothing")
		}
	}
	same.Close()
	other.Close()
	get(mullama.LoadOptions{}).Close()
	if n := seen.count(); n != 3 {
		t.Errorf("%d loads after all handles were closed and one opened again; want 3", n)
	}
}

func TestLoadByAnotherNameSharesToo(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	link := filepath.Join(t.TempDir(), "link.gguf")
	if err := os.Symlink(path, link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	var seen loads
	load(t, rt, path, mullama.LoadOptions{Progress: seen.progress})
	load(t, rt, link, mullama.LoadOptions{Progress: seen.progress})
	if n := seen.count(); n != 1 {
		t.Errorf("weights were loaded %d times for a file and a link to it; want 1", n)
	}
}

func TestLoadsAtOnceOfOneModelLoadOnce(t *testing.T) {
	noLeaks(t)
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	var seen loads
	var users sync.WaitGroup
	for i := range 16 {
		users.Go(func() {
			m, err := rt.Load(t.Context(), path, &mullama.LoadOptions{
				Threads: 1, ContextSize: 128 << (i % 2), Progress: seen.progress})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { m.Close() })
		})
	}
	users.Wait()
	if n := seen.count(); n != 1 {
		t.Errorf("16 loads at once loaded the weights %d times; want 1", n)
	}
}

func TestLoadProgressRisesFromZeroToOne(t *testing.T) {
	rt := openRuntime(t)
	for _, mode := range []string{"mmap", "read"} {
		var seen loads
		path := tinyFile(t, synth.Options{})
		load(t, rt, path, mullama.LoadOptions{LoadMode: mode, Progress: seen.progress})
		if !slices.IsSorted(seen.steps) || seen.steps[0] < 0 ||
			seen.steps[len(seen.steps)-1] != 1 || seen.ended != 1 {
			t.Errorf("%s: progress is %v; want it to rise from 0 to one 1", mode, seen.steps)
		}
	}
}

func TestLoadOfSharedWeightsTellsTheEndOfProgressOnce(t *testing.T) {
	noLeaks(t)
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	load(t, rt, path, mullama.LoadOptions{})
	for _, o := range []mullama.LoadOptions{
		{}, {Slots: 2}, {LoadMode: "read", VocabOnly: true}, // the model, its weights, no weights
	} {
		var seen loads
		o.Progress = seen.progress
		load(t, rt, path, o)
		if !slices.Equal(seen.steps, []float32{1}) {
			t.Errorf("%+v: progress is %v, want one 1", o, seen.steps)
		}
		ctx, cancel := context.WithCancel(t.Context())
		o.Progress = func(float32) { cancel() }
		if m, err := rt.Load(ctx, path, &o); m != nil {
			t.Error("a load that its progress cancelled gave a model")
		} else {
			wantKind(t, err, mullama.ErrCancelled, path)
		}
	}
}

func TestLoadCancelledByItsProgress(t *testing.T) {
	noLeaks(t)
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var users sync.WaitGroup
	var second *mullama.Model
	var secondErr error
	var once sync.Once
	o := &mullama.LoadOptions{Threads: 1, ContextSize: 128, Progress: func(float32) {
		once.Do(func() {
			users.Go(func() {
				second, secondErr = rt.Load(t.Context(), path,
					&mullama.LoadOptions{Threads: 1, ContextSize: 128})
			})
			time.Sleep(20 * time.Millisecond) // lets the second loader come to wait
			cancel()
		})
	}}
	m, err := rt.Load(ctx, path, o)
	if m != nil {
		t.Error("a cancelled load gave a model")
	}
	wantKind(t, err, mullama.ErrCancelled, path)
	if !errors.Is(err, context.Canceled) && ctx.Err() == nil {
		t.Errorf("got %v; want the context to be the cause", err)
	}
	users.Wait()
	if secondErr != nil {
		t.Fatalf("the loader that waited got %v; want a model", secondErr)
	}
	defer second.Close()
	if got := generate(t, second, "once", mullama.GenerateOptions{MaxTokens: 3}); got.Text == "" {
		t.Error("the model of the loader that waited generates nothing")
	}
}

func TestLoadWithAnEndedContextAndAfterClose(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := rt.Load(ctx, path, nil)
	wantKind(t, err, mullama.ErrCancelled, path)

	m := load(t, rt, path, mullama.LoadOptions{})
	rt.Close()
	rt.Close()
	_, err = rt.Load(t.Context(), path, nil)
	wantKind(t, err, mullama.ErrClosed, path, "the runtime is closed")
	if got := generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 3}); got.Text == "" {
		t.Error("a model is of no use after Runtime.Close; want it to live until its own Close")
	}
}

func TestClosedModelRefusesEveryCall(t *testing.T) {
	m := tinyModel(t)
	m.Close()
	for name, call := range map[string]func() error{
		"Generate": func() error { _, err := m.Generate(t.Context(), "x", nil); return err },
		"GenerateTokens": func() error {
			_, err := m.GenerateTokens(t.Context(), []mullama.Token{1}, nil)
			return err
		},
		"Chat": func() error {
			_, err := m.Chat(t.Context(), []mullama.Message{{Role: "user"}}, nil)
			return err
		},
		"FormatChat": func() error {
			_, err := m.FormatChat([]mullama.Message{{Role: "user"}}, nil)
			return err
		},
		"Tokenize": func() error {
			_, err := m.Tokenize("x", mullama.TokenizeOptions{})
			return err
		},
		"Detokenize": func() error { _, err := m.Detokenize([]mullama.Token{1}); return err },
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, call(), mullama.ErrClosed, "closed") })
	}
	if m.Info().Vocab == 0 || m.ContextSize() != 512 {
		t.Error("Info and ContextSize are gone after Close; want them to stay")
	}
}

func TestManyHandlesOpenUseAndCloseAtOnce(t *testing.T) {
	noLeaks(t)
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for round := range 6 {
				m, err := rt.Load(t.Context(), path, &mullama.LoadOptions{
					Threads: 1, ContextSize: 64 + 64*((i+round)%3)})
				if err != nil {
					t.Error(err)
					return
				}
				s, err := m.Generate(t.Context(), "a b", &mullama.GenerateOptions{MaxTokens: 5})
				if err == nil && round%2 == 0 {
					_, err = s.Collect()
				}
				if err != nil {
					t.Error(err)
				}
				m.Close()
			}
		})
	}
	within(t, time.Minute, "opening and closing", users.Wait)
}

func TestLayersForAGPUThatIsMissingAreAWarning(t *testing.T) {
	var log bytes.Buffer
	rt, err := mullama.Open(mullama.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Skipf("needs the native library: %v", err)
	}
	t.Cleanup(func() { rt.Close() })
	for _, d := range rt.Devices() {
		if d.Kind == mullama.DeviceGPU || d.Kind == mullama.DeviceIntegratedGPU {
			t.Skip("there is a GPU")
		}
	}
	path := tinyFile(t, synth.Options{})
	for n, want := range map[int]int{0: 0, 99: 1, -1: 1} {
		log.Reset()
		for _, size := range []int{128, 256} { // the second says nothing new
			m := load(t, rt, path, mullama.LoadOptions{GPULayers: &n, ContextSize: size})
			if got := len(m.Plan().Notes); got != want {
				t.Errorf("%d layers: notes %q; want %d", n, m.Plan().Notes, want)
			}
		}
		if n == 99 && strings.Count(log.String(), "no GPU can be used") > 1 {
			t.Errorf("the log says it more than once: %s", log.String())
		}
	}
}

func TestAPlanTellsWhatALoadThenTakes(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	o := mullama.LoadOptions{ContextSize: 256, Slots: 2, Threads: 1, KVTypeK: "q8_0"}
	want, err := rt.Plan(path, &o)
	if err != nil {
		t.Fatal(err)
	}
	got := load(t, rt, path, o).Plan()
	if len(got.Devices) != len(want.Devices) || got.Layers != 3 || got.KVTypeK != "q8_0" ||
		got.Slots != 2 || got.ContextSize != 256 || got.CacheTokens != want.CacheTokens {
		t.Fatalf("loaded as %+v; the plan was %+v", got, want)
	}
	for i, d := range got.Devices {
		w := want.Devices[i]
		if d.Name != w.Name || d.Cache != w.Cache || d.Cache == 0 || d.Compute != w.Compute {
			t.Errorf("%s takes %+v; the plan was %+v", d.Name, d, w)
		}
	}
	_, err = rt.Plan(path, &mullama.LoadOptions{Devices: []string{"GPU99"}})
	wantKind(t, err, mullama.ErrInvalidOption, "no device named GPU99")
	_, err = rt.Plan(path+".none", nil)
	wantKind(t, err, mullama.ErrNotFound)
}

func TestNamingTheCPUAloneUsesNoGPU(t *testing.T) {
	rt := openRuntime(t)
	m := load(t, rt, tinyFile(t, synth.Options{}), mullama.LoadOptions{Devices: []string{"CPU"}})
	if _, gpu := m.Plan().Size(); gpu != 0 || len(m.Plan().Devices) != 1 {
		t.Errorf("the plan is %+v", m.Plan())
	}
	if got := generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 3}); got.Text == "" {
		t.Error("it generates nothing")
	}
}
