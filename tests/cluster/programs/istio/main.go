// Command istio is pilot-discovery or istioctl, by the name that it is called by: one program
// is linked instead of two. pilot-agent is not in it, for it reads the environment in another way.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	istioctl "istio.io/istio/istioctl/cmd"
	discovery "istio.io/istio/pilot/cmd/pilot-discovery/app"
	"istio.io/istio/pkg/log"
)

func main() {
	log.EnableKlogWithCobra()
	var command *cobra.Command
	switch name := filepath.Base(os.Args[0]); name {
	case "pilot-discovery":
		command = discovery.NewRootCommand()
	case "istioctl":
		if err := istioctl.ConfigAndEnvProcessing(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(istioctl.GetExitCode(err))
		}
		command = istioctl.GetRootCmd(os.Args[1:])
	default:
		fmt.Fprintf(os.Stderr, "istio: there is no program %q here\n", name)
		os.Exit(2)
	}
	if err := command.Execute(); err != nil {
		os.Exit(istioctl.GetExitCode(err))
	}
}
