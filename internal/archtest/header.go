package archtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// The header of the native library and the file of package llama that includes it.
const (
	nativeHeader = "native/mullama_native.h"
	headerUser   = "internal/llama/shim.h"
)

// CheckHeader holds the checksum of the native library's header in package llama to the header. Go
// does not notice when a header in another folder changes; the checksum makes it build again.
func CheckHeader(files []File) []Problem {
	var sum, user string
	for _, f := range files {
		switch f.Path {
		case nativeHeader:
			digest := sha256.Sum256([]byte(f.Text))
			sum = hex.EncodeToString(digest[:8])
		case headerUser:
			user = f.Text
		}
	}
	if sum == "" || strings.Contains(user, sum) {
		return nil
	}
	return []Problem{{File: headerUser, Text: fmt.Sprintf(
		"%s has changed: write its checksum, %s, into the comment at the top", nativeHeader, sum)}}
}
