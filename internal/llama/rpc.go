package llama

// #include "shim.h"
import "C"

// RPCDevices asks another machine, an IPv4 address with a port, for its devices. It returns ErrLost
// when that does not answer within some seconds.
func (l *Library) RPCDevices(address string) ([]Device, error) {
	var a arena
	defer a.free()
	const most = 16
	var found [most]C.mn_device
	var n C.int32_t
	var e C.mn_error
	status := C.shim_rpc_devices(l.table, a.string(address), &found[0], most, &n, &e)
	if err := check(status, &e); err != nil {
		return nil, err
	}
	var devices []Device
	for i := range found[:n] {
		devices = append(devices, newDevice(&found[i]))
	}
	return devices, nil
}

// ServeRPC offers devices of this machine to others at an IPv4 address with a port. Weights are
// kept in cacheDir, if that is not empty, so that they need not be sent again. It returns only when
// it cannot go on.
func (l *Library) ServeRPC(address, cacheDir string, threads int, devices []string) error {
	var a arena
	defer a.free()
	var e C.mn_error
	status := C.shim_rpc_serve(l.table, a.string(address), a.string(cacheDir), C.int32_t(threads),
		a.strings(devices), C.int32_t(len(devices)), &e)
	return check(status, &e)
}

// Check returns ErrLost when a machine that the model is on went away: then everything made from
// the model can only be closed.
func (m *Model) Check() error {
	if err := m.acquire(); err != nil {
		return err
	}
	defer m.release()
	var e C.mn_error
	return check(C.shim_model_check(m.lib.table, m.ptr, &e), &e)
}
