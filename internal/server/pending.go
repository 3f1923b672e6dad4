package server

import (
	"errors"
	"time"

	"github.com/mullama/mullama"
)

// This file stands in for types of package mullama and goes away when those are there.

// StoredModel is a model of the store.
type StoredModel struct {
	Name         string
	Digest       string
	Size         int64
	Modified     time.Time
	Details      ModelDetails
	Capabilities []string

	Path       string
	Projectors []string
	Adapters   []string

	Template   string
	System     string
	Licenses   []string
	Parameters map[string]any
	Messages   []mullama.Message
	Pinned     bool
}

// ModelDetails describe a model.
type ModelDetails struct {
	ParentModel       string
	Format            string
	Family            string
	Families          []string
	ParameterSize     string
	QuantizationLevel string
	ContextLength     int
	EmbeddingLength   int
}

// AcquireOptions say how a model is made ready.
type AcquireOptions struct {
	Load      *mullama.LoadOptions
	KeepAlive *time.Duration
}

// Lease holds a model.
type Lease struct {
	Model    *mullama.Model
	Stored   *StoredModel
	LoadTime time.Duration
	release  func()
}

// Release gives it back.
func (l *Lease) Release() { l.release() }

// RunningModel is a loaded model.
type RunningModel struct {
	Stored               StoredModel
	Size, SizeVRAM       int64
	ContextSize          int
	Expires              time.Time
	Busy, Waiting, Slots int
	Loading              bool
}

// ErrBusy means that the queue is full.
var ErrBusy = errors.New("busy")
