package server

import "github.com/mullama/mullama"

type (
	AcquireOptions = mullama.AcquireOptions
	Lease          = mullama.Lease
	RunningModel   = mullama.RunningModel
)

var ErrBusy = mullama.ErrBusy
