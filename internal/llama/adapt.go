package llama

// #include "shim.h"
import "C"

import "unsafe"

// Tuning is what a context does to its model.
type Tuning struct {
	// Adapters are the scales of the model's adapters, as for [Context.Adapt]; nil: all 0.
	Adapters []float32
	Steering Steering // no Data: none
}

// Steering is a control vector: numbers to add to the outputs of the layers from First to Last.
type Steering struct {
	Data        []float32 // as many as an embedding is long, for each layer from the second on
	First, Last int
}

// prepare applies what a context has from the beginning.
func (c *Context) prepare(p *ContextParams) error {
	if p.Tuning == nil {
		return nil
	}
	if len(p.Tuning.Adapters) > 0 {
		if err := c.Adapt(p.Tuning.Adapters); err != nil {
			return err
		}
	}
	if len(p.Tuning.Steering.Data) > 0 {
		return c.steer(&p.Tuning.Steering)
	}
	return nil
}

// Adapt sets the scales of the adapters that the model was loaded with, one for each, from the next
// step on; 0 leaves one out. A change costs the time to lay out the compute buffers anew.
func (c *Context) Adapt(scales []float32) error {
	if err := c.acquire(); err != nil {
		return err
	}
	defer c.release()
	var e C.mn_error
	status := C.shim_context_adapt(c.lib.table, c.ptr, (*C.float)(unsafe.SliceData(scales)),
		C.int32_t(len(scales)), &e)
	return check(status, &e)
}

func (c *Context) steer(s *Steering) error {
	if err := c.acquire(); err != nil {
		return err
	}
	defer c.release()
	var e C.mn_error
	status := C.shim_context_steer(c.lib.table, c.ptr, (*C.float)(unsafe.SliceData(s.Data)),
		C.size_t(len(s.Data)), C.int32_t(s.First), C.int32_t(s.Last), &e)
	return check(status, &e)
}
