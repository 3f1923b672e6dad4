package llama

// #include "shim.h"
import "C"

// Remove drops positions [from, to) of a sequence from the cache; to < 0 means the end. It reports
// false when this kind of cache cannot drop a part; dropping a whole sequence always works.
func (c *Context) Remove(seq, from, to int32) bool {
	if c.acquire() != nil {
		return false
	}
	defer c.release()
	return C.shim_seq_remove(c.lib.table, c.ptr, C.int32_t(seq), C.int32_t(from),
		C.int32_t(to)) != 0
}

// Copy lets dst share positions [from, to) of src, at no compute.
func (c *Context) Copy(src, dst, from, to int32) {
	if c.acquire() != nil {
		return
	}
	defer c.release()
	C.shim_seq_copy(c.lib.table, c.ptr, C.int32_t(src), C.int32_t(dst), C.int32_t(from),
		C.int32_t(to))
}

// Shift moves positions [from, to) of a sequence by delta. It reports false when this kind of cache
// cannot shift.
func (c *Context) Shift(seq, from, to, delta int32) bool {
	if c.acquire() != nil {
		return false
	}
	defer c.release()
	return C.shim_seq_shift(c.lib.table, c.ptr, C.int32_t(seq), C.int32_t(from), C.int32_t(to),
		C.int32_t(delta)) != 0
}

// Range returns the first and last position of a sequence in the cache, -1 and -1 if it is empty.
func (c *Context) Range(seq int32) (first, last int32) {
	if c.acquire() != nil {
		return -1, -1
	}
	defer c.release()
	var lo, hi C.int32_t
	C.shim_seq_range(c.lib.table, c.ptr, C.int32_t(seq), &lo, &hi)
	return int32(lo), int32(hi)
}

// SaveSequence returns the cache's content for one sequence, for RestoreSequence of a context of
// the same model and cache types.
func (c *Context) SaveSequence(seq int32) ([]byte, error) {
	if err := c.acquire(); err != nil {
		return nil, err
	}
	defer c.release()
	var out C.mn_buf
	var e C.mn_error
	if err := check(C.shim_seq_save(c.lib.table, c.ptr, C.int32_t(seq), &out, &e), &e); err != nil {
		return nil, err
	}
	return c.lib.take(out), nil
}

// RestoreSequence replaces a sequence by what SaveSequence returned.
func (c *Context) RestoreSequence(seq int32, data []byte) error {
	if err := c.acquire(); err != nil {
		return err
	}
	defer c.release()
	var e C.mn_error
	return check(C.shim_seq_restore(c.lib.table, c.ptr, C.int32_t(seq), bytesPtr(data),
		C.size_t(len(data)), &e), &e)
}
