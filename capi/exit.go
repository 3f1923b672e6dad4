package main

// #include "shim.h"
import "C"

import (
	"sync"
	"time"
)

// exitPatience is how long the end of the process waits for steps that run.
const exitPatience = 5 * time.Second

// watchExit has the models closed before the process ends. exit() destroys static data of llama.cpp
// while its threads still compute, unless somebody stops them first. Handlers run in the opposite
// order of their registration, and llama.cpp makes some of its data when it is first used: so this
// is called after a load, and again after the first part of an answer.
var watchExit = func() { C.capi_watch_exit() }

//export goAtExit
func goAtExit() {
	var closing sync.WaitGroup
	for _, m := range models.all() {
		closing.Go(func() { _ = m.close() })
	}
	done := make(chan struct{})
	go func() { // ends with the closing, or with the process
		closing.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(exitPatience):
	}
}
