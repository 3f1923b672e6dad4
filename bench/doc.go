// Package bench measures Mullama against llama.cpp alone, in one run, on one machine.
//
// A benchmark group is a command, such as throughput, that prints one [Result]: a row per quantity
// with our median, the baseline's median, their ratio and a confidence interval, and every sample
// they come from. The baseline is mullama-oracle, a C program that calls llama.h and nothing of
// ours. Each round starts both programs afresh in a random order and gives them the same work with
// the same arguments, so that a change of the machine between rounds hits both.
//
// Our side is measured through package mullama in a process of its own (the hidden command ours).
// The measuring process itself only starts programs, times them and reads what they print; it runs
// one at a time and uses no goroutines.
//
// The suite, which is the command bench itself, runs all groups one after the other, each in a
// process of its own, and makes a report of what they wrote. A group is a line of the table in
// group.go.
//
// Committed results live in bench/results; bench report turns them into the tables and plots of
// docs/benchmarks.md.
package bench
