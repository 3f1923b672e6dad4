package gguf

import (
	"encoding/binary"
	"fmt"
)

// encodeValue appends the type and the bytes of a value.
func encodeValue(b []byte, value any) ([]byte, error) {
	if t, ok := scalarType(value); ok {
		b = binary.LittleEndian.AppendUint32(b, uint32(t))
		if s, isText := value.(string); isText {
			return appendText(b, s), nil
		}
		return binary.Append(b, binary.LittleEndian, value)
	}
	elem, n, ok := arrayType(value)
	if !ok {
		return nil, fmt.Errorf("a value of Go type %T has no GGUF type", value)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(TypeArray))
	b = binary.LittleEndian.AppendUint32(b, uint32(elem))
	b = binary.LittleEndian.AppendUint64(b, uint64(n))
	if texts, isTexts := value.([]string); isTexts {
		for _, s := range texts {
			b = appendText(b, s)
		}
		return b, nil
	}
	return binary.Append(b, binary.LittleEndian, value)
}

func scalarType(value any) (Type, bool) {
	switch value.(type) {
	case uint8:
		return TypeUint8, true
	case int8:
		return TypeInt8, true
	case uint16:
		return TypeUint16, true
	case int16:
		return TypeInt16, true
	case uint32:
		return TypeUint32, true
	case int32:
		return TypeInt32, true
	case float32:
		return TypeFloat32, true
	case bool:
		return TypeBool, true
	case string:
		return TypeString, true
	case uint64:
		return TypeUint64, true
	case int64:
		return TypeInt64, true
	case float64:
		return TypeFloat64, true
	}
	return 0, false
}

func arrayType(value any) (Type, int, bool) {
	switch a := value.(type) {
	case []uint8:
		return TypeUint8, len(a), true
	case []int8:
		return TypeInt8, len(a), true
	case []uint16:
		return TypeUint16, len(a), true
	case []int16:
		return TypeInt16, len(a), true
	case []uint32:
		return TypeUint32, len(a), true
	case []int32:
		return TypeInt32, len(a), true
	case []float32:
		return TypeFloat32, len(a), true
	case []bool:
		return TypeBool, len(a), true
	case []string:
		return TypeString, len(a), true
	case []uint64:
		return TypeUint64, len(a), true
	case []int64:
		return TypeInt64, len(a), true
	case []float64:
		return TypeFloat64, len(a), true
	}
	return 0, 0, false
}
