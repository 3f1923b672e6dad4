package gguf

import (
	"fmt"
	"math"
)

// Type is the type of a metadata value.
type Type uint32

// The types of metadata values, by their number in the file.
const (
	TypeUint8   Type = 0
	TypeInt8    Type = 1
	TypeUint16  Type = 2
	TypeInt16   Type = 3
	TypeUint32  Type = 4
	TypeInt32   Type = 5
	TypeFloat32 Type = 6
	TypeBool    Type = 7
	TypeString  Type = 8
	TypeArray   Type = 9
	TypeUint64  Type = 10
	TypeInt64   Type = 11
	TypeFloat64 Type = 12
)

// typeInfo holds each type's name and its size in the file; size 0 means that it varies.
var typeInfo = [...]struct {
	name string
	size int64
}{
	TypeUint8:   {"uint8", 1},
	TypeInt8:    {"int8", 1},
	TypeUint16:  {"uint16", 2},
	TypeInt16:   {"int16", 2},
	TypeUint32:  {"uint32", 4},
	TypeInt32:   {"int32", 4},
	TypeFloat32: {"float32", 4},
	TypeBool:    {"bool", 1},
	TypeString:  {"string", 0},
	TypeArray:   {"array", 0},
	TypeUint64:  {"uint64", 8},
	TypeInt64:   {"int64", 8},
	TypeFloat64: {"float64", 8},
}

// String returns the name of the type, such as "uint32".
func (t Type) String() string {
	if !t.known() {
		return fmt.Sprintf("type %d", uint32(t))
	}
	return typeInfo[t].name
}

func (t Type) known() bool { return int64(t) < int64(len(typeInfo)) }

// Value is one metadata value.
type Value struct {
	// Type is the type of the value.
	Type Type
	// Elem is the type of the elements when Type is TypeArray.
	Elem Type
	// Len is the number of elements when Type is TypeArray.
	Len uint64

	data   any   // the Go value; nil for an array left in the file
	offset int64 // where an array's elements start in the file
}

// Key is a metadata key with its value.
type Key struct {
	Name string
	Value
}

// Any returns the value as the Go type of the same name, an array as a slice of it, or nil for an
// array that was left in the file. The slice is shared: do not modify it.
func (v Value) Any() any { return v.data }

// Text returns a string value. Its bytes are as in the file and may not be UTF-8.
func (v Value) Text() (string, bool) {
	s, ok := v.data.(string)
	return s, ok
}

// Bool returns a bool value.
func (v Value) Bool() (value, ok bool) {
	value, ok = v.data.(bool)
	return value, ok
}

// Int returns an integer value of any width that fits in an int64.
func (v Value) Int() (int64, bool) { return toInt(v.data) }

// Uint returns an integer value of any width that is not negative.
func (v Value) Uint() (uint64, bool) {
	if n, ok := v.data.(uint64); ok {
		return n, true
	}
	n, ok := toInt(v.data)
	return uint64(n), ok && n >= 0
}

// Float returns a float or integer value.
func (v Value) Float() (float64, bool) { return toFloat(v.data) }

func toInt(x any) (int64, bool) {
	switch n := x.(type) {
	case uint8:
		return int64(n), true
	case int8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case int16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= math.MaxInt64
	}
	return 0, false
}

func toFloat(x any) (float64, bool) {
	switch n := x.(type) {
	case float32:
		return float64(n), true
	case float64:
		return n, true
	case uint64:
		return float64(n), true
	}
	n, ok := toInt(x)
	return float64(n), ok
}
