package server

import (
	"errors"
	"time"

	"github.com/mullama/mullama"
)

// This file stands in for types of package mullama and goes away when those are there.

// AcquireOptions say how a model is made ready.
type AcquireOptions struct {
	Load      *mullama.LoadOptions
	KeepAlive *time.Duration
}

// Lease holds a model.
type Lease struct {
	Model    *mullama.Model
	Stored   *mullama.StoredModel
	LoadTime time.Duration
	release  func()
}

// Release gives it back.
func (l *Lease) Release() { l.release() }

// RunningModel is a loaded model.
type RunningModel struct {
	Stored               mullama.StoredModel
	Size, SizeVRAM       int64
	ContextSize          int
	Expires              time.Time
	Busy, Waiting, Slots int
	Loading              bool
}

// ErrBusy means that the queue is full.
var ErrBusy = errors.New("busy")
