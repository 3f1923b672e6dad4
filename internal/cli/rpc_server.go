package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// defaultRPCPort is that of llama.cpp's own server.
const defaultRPCPort = 50052

const rpcServerLong = `Offer devices of this machine to other machines until SIGTERM or Ctrl-C.

There, 'mullama run' and 'mullama serve' take this machine with --rpc HOST:PORT and put a model's
layers on its devices. One program is served at a time. Both sides need the same version.

llama.cpp's RPC protocol asks for no key and encrypts nothing: whoever reaches the port can use the
memory and processors of this machine, and can take it over. So it listens on this machine alone
unless --host says otherwise.`

// rpcServerCommand builds `mullama rpc-server`.
func (a *app) rpcServerCommand() *cobra.Command {
	s := &mullama.RPCServer{Host: "127.0.0.1", Port: defaultRPCPort}
	cmd := &cobra.Command{
		Use:   "rpc-server",
		Short: "Offer devices of this machine to other machines",
		Long:  rpcServerLong,
		Args:  nothing,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.rpcServer(cmd.Context(), s) },
	}
	set := cmd.Flags()
	set.StringVar(&s.Host, "host", s.Host, "IPv4 `ADDRESS` to listen on; 0.0.0.0: all")
	set.Var(countFlag(&s.Port), "port", "port to listen on")
	set.Var(listFlag(&s.Devices), "device",
		"devices to offer, by the names that doctor prints (default: the GPUs, or else the CPU)")
	set.VarP(countFlag(&s.Threads), "threads", "t", "CPU threads (default: the cores)")
	set.StringVar(&s.CacheDir, "cache", "",
		"`FOLDER` that keeps large weights, so that they are sent once (default: none)")
	return cmd
}

// rpcServer offers devices until ctx ends or a signal comes.
func (a *app) rpcServer(ctx context.Context, s *mullama.RPCServer) error {
	address, err := s.Address()
	if err != nil {
		return err
	}
	engine, err := a.openEngine()
	if err != nil {
		return err
	}
	defer engine.Close()
	offered, err := s.Offered(engine.Devices())
	if err != nil {
		return err
	}
	if !netip.MustParseAddrPort(address).Addr().IsLoopback() {
		fmt.Fprintf(a.stderr, "warning: whoever can reach %s can use this machine and take it "+
			"over, as llama.cpp's RPC asks for no key\n", address)
	}
	ctx, stop := a.interruptible(ctx)
	defer stop()
	err = engine.ServeRPC(ctx, s, func() {
		fmt.Fprintf(a.stdout, "listening on %s, offering:\n", address)
		for _, d := range offered {
			fmt.Fprintf(a.stdout, "  %s: %s\n", d.Name, describe(d))
		}
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return (&failure{code: exitFailed,
			message: fmt.Sprintf("%s is in use: another program listens there", address)}).
			withHint("end it, or choose another port with --port")
	}
	return err
}
