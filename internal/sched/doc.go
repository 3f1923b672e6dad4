// Package sched decides which models are loaded, who may use them, and who waits.
//
// A [Scheduler] is a state machine without goroutines, clock or I/O: its owner tells it what
// happened and when, and it answers by calling [Effects]. So all of it can be tested by schedules
// that would take days.
//
// What is loaded is a context of some weights. The limit of models counts weights: another context
// of weights that are loaded needs no other model to go, and is loaded before an idle one of the
// same weights is given up, so weights are never read twice for it.
//
// The rules:
//
//   - A request for a loaded model is granted at once, whatever else is being loaded.
//   - Requests for models that are not loaded are served in order of arrival. When there is no
//     room, the idle model that was used longest ago goes; one that somebody uses never does.
//   - When all models are in use for longer than the patience, the one used longest ago stops
//     taking new requests until it is idle and can go. So nobody waits for ever.
//   - A model stays for its keep-alive time after its last use.
//   - A load that makes no progress is given up.
package sched
