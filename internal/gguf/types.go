package gguf

import "fmt"

// TensorType is how the elements of a tensor are stored, by ggml's number.
type TensorType uint32

// The tensor types that this repository writes. All of ggml's are known to the reader.
const (
	F32 TensorType = 0
	F16 TensorType = 1
	Q50 TensorType = 6
	Q80 TensorType = 8
	Q4K TensorType = 12
	Q6K TensorType = 14

	BF16  TensorType = 30
	NVFP4 TensorType = 40
)

// block is one tensor type: so many elements are stored together in so many bytes.
type block struct {
	name     string
	elements uint64
	bytes    uint64
}

// tensorTypes follows ggml.h. Numbers 4, 5, 31 to 33 and 36 to 38 had types that ggml removed.
var tensorTypes = [...]block{
	0:  {"F32", 1, 4},
	1:  {"F16", 1, 2},
	2:  {"Q4_0", 32, 18},
	3:  {"Q4_1", 32, 20},
	6:  {"Q5_0", 32, 22},
	7:  {"Q5_1", 32, 24},
	8:  {"Q8_0", 32, 34},
	9:  {"Q8_1", 32, 36},
	10: {"Q2_K", 256, 84},
	11: {"Q3_K", 256, 110},
	12: {"Q4_K", 256, 144},
	13: {"Q5_K", 256, 176},
	14: {"Q6_K", 256, 210},
	15: {"Q8_K", 256, 292},
	16: {"IQ2_XXS", 256, 66},
	17: {"IQ2_XS", 256, 74},
	18: {"IQ3_XXS", 256, 98},
	19: {"IQ1_S", 256, 50},
	20: {"IQ4_NL", 32, 18},
	21: {"IQ3_S", 256, 110},
	22: {"IQ2_S", 256, 82},
	23: {"IQ4_XS", 256, 136},
	24: {"I8", 1, 1},
	25: {"I16", 1, 2},
	26: {"I32", 1, 4},
	27: {"I64", 1, 8},
	28: {"F64", 1, 8},
	29: {"IQ1_M", 256, 56},
	30: {"BF16", 1, 2},
	34: {"TQ1_0", 256, 54},
	35: {"TQ2_0", 256, 66},
	39: {"MXFP4", 32, 17},
	40: {"NVFP4", 64, 36},
	41: {"Q1_0", 128, 18},
	42: {"Q2_0", 64, 18},
}

// String returns the type's name in capitals, such as "Q4_K".
func (t TensorType) String() string {
	if b, ok := t.block(); ok {
		return b.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Block returns how many elements the type stores together and in how many bytes. Both are 0 for a
// type that ggml does not have.
func (t TensorType) Block() (elements, bytes int) {
	b, _ := t.block()
	return int(b.elements), int(b.bytes)
}

func (t TensorType) block() (block, bool) {
	if uint64(t) >= uint64(len(tensorTypes)) || tensorTypes[t].elements == 0 {
		return block{}, false
	}
	return tensorTypes[t], true
}

// FileType is the value of general.file_type: the mix of tensor types a model was quantised to.
type FileType uint32

// The file types that this repository writes.
const (
	FileF32  FileType = 0
	FileF16  FileType = 1
	FileQ80  FileType = 7
	FileQ4KM FileType = 15
)

// guessed is the bit that llama.cpp sets on a file type it derived itself.
const guessed = 1024

// fileTypes follows the enum llama_ftype of llama.h, without the removed ones.
var fileTypes = [...]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1",
	10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M",
	16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
	19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S",
	25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS",
	31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
	40: "Q1_0", 41: "Q2_0",
}

// String returns the name used for files and downloads, such as "Q4_K_M", or "" for an unknown
// number.
func (t FileType) String() string {
	if uint64(t) >= uint64(len(fileTypes)) {
		return ""
	}
	return fileTypes[t]
}
