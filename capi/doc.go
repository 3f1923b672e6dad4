// Command capi is the shared library libmullama: the C ABI of include/mullama.h, built with
// -buildmode=c-shared. docs/abi.md has its rules.
//
// shim.c has the functions of the header. Each guards against fork and calls its namesake of
// exports.go, which turns C values into Go ones and calls an [engine]: the one in this process, a
// daemon, or an echo. A handle is a number that only the table of handles knows.
package main

func main() {} // a library has none, but the build mode wants it
