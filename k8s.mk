# The walk on Kubernetes, from two empty clusters to the verdict and back. Each target is a step of
# the program `walk`. Variables are its settings: `make install DEADLINE=600 CONTEXT_gke1=gke_x`
# is `walk install --set deadline=600 --set gke1.context=gke_x`. DRY_RUN=1 only prints the commands.

SETTINGS ?= clusters.yaml
WALK_PROGRAM ?= $(TARGET_DIR)/release/walk
PROBER ?= $(TARGET_DIR)/release/prober

.PHONY: doctor certs certs-install certs-uninstall install status uninstall \
	ingress-install ingress-uninstall docker docker-push test-image \
	echo-install echo-status echo-uninstall load check-install check-uninstall \
	watch-install watch-uninstall overlays

# Settings that may also stand in the environment.
options := API EAST_WEST GATEWAY_API_VERSION TLS_SECRET TLS_CACERT OUTLIER_DETECTION STRICT_MTLS \
	IMAGES_PUSHED INGRESS PODS RATE DURATION TARGET DEADLINE OVERLAYS DOCKER DOCKER_FLAGS \
	PLATFORMS BUILDER
# Settings of the command line, and those of single clusters.
of-all := CLUSTERS DOMAIN MESH_ID IMAGE_REPOSITORY TAG ISTIO_VERSION ISTIO_REVISION CERTS
of-one := CONTEXT NETWORK HOST REGION ZONE API_SERVER INGRESS_IP

# $(call given,NAMES,ORIGINS): the variables among NAMES that come from there.
given = $(foreach v,$(1),$(if $(filter $(2),$(firstword $(origin $(v)))),$(v)))
key = $(shell echo '$(1)' | tr A-Z_ a-z-)
quoted = '$(subst ','\'',$(1))'
set = $(call quoted,--set=$(1)=$($(2)))
settings = $(foreach v,$(call given,$(options),command environment) $(call given,$(of-all),command),$(call set,$(call key,$(v)),$(v))) \
	$(foreach p,$(of-one),$(foreach v,$(call given,$(filter $(p)_%,$(.VARIABLES)),command),$(call set,$(v:$(p)_%=%).$(call key,$(p)),$(v))))

# Programs of one's own are not built.
walk-built := $(filter $(TARGET_DIR)/release/walk,$(WALK_PROGRAM))
prober-built := $(filter $(TARGET_DIR)/release/prober,$(PROBER))
# $(call walk,PROGRAMS,FLAGS): builds the programs as `make build` would, and runs the step of the target's name.
define walk
$(if $(strip $(1)),@$(CARGO) build --release --locked --workspace $(addprefix --bin=,$(1)))
@$(call quoted,$(WALK_PROGRAM)) $@ $(2) $(call quoted,--settings=$(SETTINGS)) $(if $(DRY_RUN),--dry-run) $(strip $(settings))
endef
step = $(call walk,$(walk-built:%=walk))
step-with-prober = $(call walk,$(walk-built:%=walk) $(prober-built:%=prober),$(call quoted,--prober=$(PROBER)))

doctor: ## Check tools, contexts, permissions, API servers; name every problem
	$(step)

certs: ## Make a root and an authority for each cluster
	$(step)

certs-install: ## Give each cluster its authority, before `install`
	$(step)

certs-uninstall: ## Take the authorities out of the clusters
	$(step)

install: ## Join the clusters into one Istio mesh
	$(step)

status: ## Show how Istio is in each cluster, and which clusters it reads
	$(step)

uninstall: ## Take Istio and the samples out of the clusters; ISTIO_REVISION=…: only that revision
	$(step)

ingress-install: ## Lead the host names to the services; API=gateway: by the Gateway API
	$(step)

ingress-uninstall: ## Take that away
	$(step)

docker: ## Build both images
	$(step)

docker-push: ## Push both images; PLATFORMS=linux/amd64,linux/arm64: for all of them
	$(step)

test-image: ## Build both images with a Docker engine, and run them
	tools/test-image

echo-install: ## Bring echo1, echo2 and the clients to each cluster
	$(step)

echo-status: ## Ask everything from everywhere, and show who answers
	$(step-with-prober)

echo-uninstall: ## Take the sample out of the clusters
	$(step)

load: ## Load from PODS in each cluster at RATE in all, and merge their reports
	$(step-with-prober)

check-install: ## Check the expectations in each cluster every five minutes
	$(step)

check-uninstall: ## Stop that
	$(step)

watch-install: ## Probe continuously in each cluster, with metrics, alerts and a dashboard
	$(step)

watch-uninstall: ## Stop that
	$(step)

overlays: ## Write the kustomize overlays of all clusters
	$(step)
