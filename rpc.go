package mullama

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mullama/mullama/internal/llama"
)

// maxRPCServers is llama.cpp's limit.
const maxRPCServers = 16

// lookupPatience is how long the name of another machine may take to be found.
const lookupPatience = 5 * time.Second

// CheckRPC returns ErrInvalidOption for a list of RPC servers that LoadOptions do not take.
func CheckRPC(servers []string) error {
	const op = "" // the message says all
	if len(servers) > maxRPCServers {
		return invalid(op, fmt.Sprintf("%d RPC servers are named; llama.cpp takes at most %d",
			len(servers), maxRPCServers))
	}
	for i, server := range servers {
		if _, _, err := splitRPC(server); err != nil {
			return invalid(op, err.Error())
		}
		if slices.Contains(servers[:i], server) {
			return invalid(op, fmt.Sprintf("the RPC server %s is named twice", server))
		}
	}
	return nil
}

// splitRPC reads host:port. llama.cpp's RPC knows IPv4 alone.
func splitRPC(server string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(server)
	if err != nil || host == "" {
		return "", 0, fmt.Errorf("the RPC server %q is not host:port, such as 10.0.0.2:50052",
			server)
	}
	if strings.Contains(host, ":") {
		return "", 0, fmt.Errorf("the RPC server %q has an IPv6 address; llama.cpp's RPC takes "+
			"IPv4 addresses and names", server)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("the port of the RPC server %q is not a number from 1 to 65535",
			server)
	}
	return host, port, nil
}

// rpcAddresses are the IPv4 addresses of RPC servers, with their ports.
func rpcAddresses(servers []string) ([]string, error) {
	var addresses []string
	for _, server := range servers {
		host, port, err := splitRPC(server)
		if err != nil {
			return nil, invalid("", err.Error())
		}
		ctx, cancel := context.WithTimeout(context.Background(), lookupPatience)
		found, err := net.DefaultResolver.LookupIP(ctx, "ip4", host)
		cancel()
		if err != nil || len(found) == 0 {
			return nil, &llama.Error{Kind: llama.ErrLost, Message: fmt.Sprintf(
				"the RPC server %s cannot be reached: no IPv4 address is known for it", server)}
		}
		addresses = append(addresses, net.JoinHostPort(found[0].String(), strconv.Itoa(port)))
	}
	return addresses, nil
}

// RPCDevices asks an RPC server, host:port, for its devices. It returns ErrUnreachable when that
// does not answer within some seconds.
func (r *Runtime) RPCDevices(server string) ([]Device, error) {
	addresses, err := rpcAddresses([]string{server})
	if err != nil {
		return nil, wrap("", err)
	}
	devices, err := r.lib.RPCDevices(addresses[0])
	if err != nil {
		return nil, wrap("", err)
	}
	return newDevices(devices), nil
}

// RPCServer says what a machine offers to others.
type RPCServer struct {
	Host    string   // IPv4 address to listen on, or localhost
	Port    int      // to listen on
	Devices []string // by the names of Runtime.Devices; none: the GPUs, or else the CPU
	Threads int      // of the CPU; 0: one per physical core
	// CacheDir keeps large weights, so that they need not be sent again. Empty: nothing is kept.
	CacheDir string
}

// Address is where the server listens.
func (s *RPCServer) Address() (string, error) {
	host := s.Host
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || ip.To4() == nil {
		return "", invalid("", fmt.Sprintf(
			"%q is no IPv4 address of this machine, and llama.cpp's RPC takes no other", s.Host))
	}
	if s.Port < 1 || s.Port > 65535 {
		return "", invalid("", fmt.Sprintf("the port %d is not from 1 to 65535", s.Port))
	}
	return net.JoinHostPort(host, strconv.Itoa(s.Port)), nil
}

// Offered are the devices that a server with these options offers.
func (s *RPCServer) Offered(all []Device) ([]Device, error) {
	if len(s.Devices) > 0 {
		var chosen []Device
		for _, name := range s.Devices {
			i := slices.IndexFunc(all, func(d Device) bool { return d.Name == name })
			if i < 0 {
				return nil, invalid("", fmt.Sprintf("no device is named %q; 'mullama doctor' "+
					"lists them", name))
			}
			chosen = append(chosen, all[i])
		}
		return chosen, nil
	}
	for _, kind := range []DeviceKind{DeviceGPU, DeviceIntegratedGPU, DeviceCPU} {
		of := func(d Device) bool { return d.Kind != kind }
		if found := slices.DeleteFunc(slices.Clone(all), of); len(found) > 0 {
			return found, nil
		}
	}
	return nil, unsupported("", "this machine has no device to offer")
}

// ServeRPC offers devices of this machine to others, one at a time. ready is called when it
// listens. It ends with ctx, and then returns nil, though the library goes on to listen until the
// process ends: llama.cpp has no way to stop it.
func (r *Runtime) ServeRPC(ctx context.Context, s *RPCServer, ready func()) error {
	address, err := s.Address()
	if err != nil {
		return err
	}
	offered, err := s.Offered(r.Devices())
	if err != nil {
		return err
	}
	if s.CacheDir != "" {
		if err := os.MkdirAll(s.CacheDir, 0o755); err != nil {
			return wrap("make the cache folder", err)
		}
	}
	probe, err := net.Listen("tcp4", address) // says why it cannot be, which llama.cpp does not
	if err != nil {
		return &Error{Kind: ErrInvalidOption, Op: "listen for RPC", Err: err,
			Hint: "another port or address may be free"}
	}
	if err := probe.Close(); err != nil {
		return wrap("listen for RPC", err)
	}
	var names []string
	for _, d := range offered {
		names = append(names, d.Name)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.serveRPC(address, s, names) }()
	go func() {
		if awaitListener(ctx, address) {
			ready()
		}
	}()
	select {
	case err = <-ended:
		return wrap("serve RPC", err)
	case <-ctx.Done():
		return nil
	}
}

// serveRPC serves until it fails three times within a second each: what a client sends that makes
// no sense ends llama.cpp's server, which is then started again.
func (r *Runtime) serveRPC(address string, s *RPCServer, devices []string) error {
	for quick := 0; ; {
		began := time.Now()
		err := r.lib.ServeRPC(address, s.CacheDir, s.Threads, devices)
		if quick++; time.Since(began) > time.Second {
			quick = 0
		}
		if quick >= 3 || errors.Is(err, llama.ErrInvalid) || errors.Is(err, llama.ErrUnsupported) {
			return err
		}
		r.log.Warn("a client of the RPC server was dropped", "cause", err)
	}
}

// awaitListener reports whether something listens at the address before ctx ends.
func awaitListener(ctx context.Context, address string) bool {
	for ctx.Err() == nil {
		if c, err := net.DialTimeout("tcp4", address, time.Second); err == nil {
			return c.Close() == nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
