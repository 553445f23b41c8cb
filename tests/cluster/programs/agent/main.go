// Command agent is Istio's pilot-agent.
package main

import (
	"os"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/cmd/pilot-agent/app"
	istioagent "istio.io/istio/pkg/istio-agent"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/nodeagent/sds"
)

func main() {
	log.EnableKlogWithCobra()
	if err := app.NewRootCommand(newSecrets).Execute(); err != nil {
		log.Error(err)
		os.Exit(1)
	}
}

// newSecrets makes the server that gives a sidecar its certificates.
func newSecrets(options *security.Options, cache security.SecretManager, provider *meshconfig.PrivateKeyProvider) istioagent.SDSService {
	return sds.NewServer(options, cache, provider)
}
