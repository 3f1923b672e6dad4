// Package instance keeps track of the daemons of a user: where each runs, and what it logs.
//
// A daemon holds a lock of the operating system as long as it lives, and a record beside it says
// who it is. So a record that a killed daemon left behind is known to be stale, whatever process
// has its number now, and of two daemons that start at once one is refused. Whoever starts one
// waits in line with another lock.
//
// A [Log] is safe for many goroutines, the other types for one.
package instance
