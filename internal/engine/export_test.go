package engine

// The plain rules of text, for the tests outside the package.
var (
	FirstStop = firstStop
	Decode    = decode
)
