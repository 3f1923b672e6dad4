package mullama

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mullama/mullama/internal/llama"
)

// Options configure a Runtime. The zero value is ready to use.
type Options struct {
	// LibraryDir is the folder of the native library. Empty: that of the variable MULLAMA_LIBRARY,
	// beside the executable, in ../lib of it, or where `make native` puts it.
	LibraryDir string
	// ModelsDir is the folder of the model store, in Ollama's layout; it need not exist. Empty:
	// there is no store, and no name is found.
	ModelsDir string
	// Defaults say how Acquire loads models.
	Defaults LoadOptions
	// MaxModels is how many models Acquire keeps loaded at once, where those of the same weights
	// count as one, MaxQueue how many requests may wait for one. 0: DefaultMaxModels,
	// DefaultMaxQueue.
	MaxModels, MaxQueue int
	// KeepAlive is how long a model stays after its last use unless a request says otherwise. 0:
	// DefaultKeepAlive; negative: for ever. What a request says is kept within MinKeepAlive and
	// MaxKeepAlive, where those are not 0.
	KeepAlive, MinKeepAlive, MaxKeepAlive time.Duration
	// LoadTimeout is how long a load of Acquire may make no progress. 0: DefaultLoadTimeout.
	LoadTimeout time.Duration
	// KeyDir is the folder of the key that registries know this user by, as id_ed25519; it is made
	// when one asks for it. Empty: ~/.ollama.
	KeyDir string
	// HubURL is where names that begin with "hf:" are fetched from, and HubToken is shown there.
	// Empty: Hugging Face, and nothing.
	HubURL, HubToken string
	// Logger receives warnings, and llama.cpp's own log at debug level. Nil: silence.
	Logger *slog.Logger
}

// Runtime loads models and shares them among callers.
type Runtime struct {
	lib     *llama.Library
	log     *slog.Logger
	weights pool[*placedWeights] // by file and load options
	models  pool[*loaded]        // by weights and context options
	catalog catalog              // of the models on disk

	reserved ledger   // of loads that are under way
	warned   warnings // that need no repetition
	plugins  sync.Once
	problems []string // of the plug-ins; set by plugins

	defaults LoadOptions // of Acquire

	keyDir, hubURL, hubToken string // of Options
	acquirer                 *acquirer

	mu     sync.Mutex
	closed bool
}

// EngineInfo says which native engine is in use.
type EngineInfo struct {
	Version string // of llama.cpp and the compiler
	System  string // CPU features in use
	Library string // file of the native library
}

// DeviceKind says what a device is.
type DeviceKind string

// The kinds of device.
const (
	DeviceCPU           DeviceKind = "cpu"
	DeviceGPU           DeviceKind = "gpu"
	DeviceIntegratedGPU DeviceKind = "integrated-gpu"
	DeviceAccelerator   DeviceKind = "accelerator"
)

// Device can hold layers of a model. Memory is in bytes, 0 when unknown.
type Device struct {
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Kind        DeviceKind `json:"kind"`
	MemoryTotal uint64     `json:"memory_total"`
	MemoryFree  uint64     `json:"memory_free"`
}

// Open loads the native library. It returns ErrLibraryMissing, with a hint, when that cannot be.
func Open(opts Options) (*Runtime, error) {
	lib, err := llama.Open(opts.LibraryDir)
	if err != nil {
		return nil, wrap("open the engine", err)
	}
	r := &Runtime{lib: lib, log: opts.Logger, catalog: catalog{dir: opts.ModelsDir},
		defaults: opts.Defaults, keyDir: opts.KeyDir, hubURL: opts.HubURL,
		hubToken: opts.HubToken}
	r.acquirer = newAcquirer(r, opts)
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.forwardLog()
	return r, nil
}

// forwardLog sends llama.cpp's log lines to the logger, all at debug level: what llama.cpp calls an
// error reaches the caller as an error of ours, and what it calls a warning is seldom one.
func (r *Runtime) forwardLog() {
	if !r.log.Enabled(context.Background(), slog.LevelDebug) {
		r.lib.SetLog(slog.LevelError, nil)
		return
	}
	r.lib.SetLog(slog.LevelInfo, func(_ slog.Level, line string) {
		r.log.Debug(line, "source", "llama.cpp")
	})
}

// Engine says which native engine is in use.
func (r *Runtime) Engine() EngineInfo {
	return EngineInfo{
		Version: r.lib.Version(),
		System:  r.lib.SystemInfo(),
		Library: r.lib.Path(),
	}
}

// Devices lists the devices of this machine, with their memory as it is now.
func (r *Runtime) Devices() []Device { return newDevices(r.lib.Devices()) }

func newDevices(found []llama.Device) []Device {
	kinds := []DeviceKind{DeviceCPU, DeviceGPU, DeviceIntegratedGPU, DeviceAccelerator}
	var devices []Device
	for _, d := range found {
		devices = append(devices, Device{
			Name:        d.Name,
			Description: d.Description,
			Kind:        kinds[d.Kind],
			MemoryTotal: d.MemoryTotal,
			MemoryFree:  d.MemoryFree,
		})
	}
	return devices
}

// Close ends the Runtime: later loads fail with ErrClosed. Models that are still open stay usable
// until they are closed themselves. It returns nil.
func (r *Runtime) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return nil
}

func (r *Runtime) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}
