package gguf

import "math"

// Half returns the IEEE half-precision bits nearest to x, which must be finite and below 65520.
func Half(x float32) uint16 {
	bits := math.Float32bits(x)
	sign := uint16(bits >> 16 & 0x8000)
	abs := math.Float32frombits(bits &^ (1 << 31))
	if abs < 1.0/(1<<14) { // below the normal halves: count steps of 2^-24
		return sign | uint16(math.RoundToEven(float64(abs)*(1<<24)))
	}
	rounded := bits&^(1<<31) + 0xfff + bits>>13&1 // to nearest, ties to even
	return sign | uint16(rounded>>13-(127-15)<<10)
}
