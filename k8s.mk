# The walk on Kubernetes, from two empty clusters to the verdict and back. Recipes are plain
# kubectl and istioctl: `make -n TARGET` prints what a person could type. Each target can be
# run again; each waits for what it started. Settings are in clusters.mk.

SETTINGS ?= clusters.mk
include $(SETTINGS)

# Istio's own resources at the ingress, or those of the Gateway API: API=gateway.
API ?= istio
# The same for the east-west gateway.
EAST_WEST ?= istio
GATEWAY_API_VERSION ?= v1.4.1
# A secret in istio-system with certificate and key of the ingress, made by you.
TLS_SECRET ?=
# What echo-status trusts to have signed it, if it is not of a public authority: a PEM file.
TLS_CACERT ?=
OUTLIER_DETECTION ?=
STRICT_MTLS ?=
# 1: the images are where the clusters find them, and no registry is asked.
IMAGES_PUSHED ?=
# How the ingress is reached by `make echo-status`: its address, found by itself; dns; or none.
INGRESS ?= address
# What `make load` does: pods in each cluster, requests per second of all pods together.
PODS ?= 2
RATE ?= 100
DURATION ?= 30s
TARGET ?= echo2:8080
# How long to wait for anything, in seconds.
DEADLINE ?= 300
# Where overlays are written; below this folder.
OVERLAYS ?= target/k8s

DOCKER ?= docker
DOCKER_FLAGS ?=
# With PLATFORMS, such as linux/amd64,linux/arm64, docker-push builds for all of them.
PLATFORMS ?=
BUILDER ?=
PROBER ?= $(TARGET_DIR)/release/prober
CERTS_PROGRAM ?= $(TARGET_DIR)/release/certs

.PHONY: doctor certs certs-install certs-uninstall install status uninstall \
	ingress-install ingress-uninstall docker docker-push test-image \
	echo-install echo-status echo-uninstall load check-install check-uninstall \
	watch-install watch-uninstall overlays settings uninstall-tools

# ---- Settings ----

comma := ,
empty :=
space := $(empty) $(empty)
define newline


endef

# Place of a cluster in the list, from 1.
index = $(strip $(foreach n,$(shell seq $(words $(CLUSTERS))),$(if $(filter $(1),$(word $(n),$(CLUSTERS))),$(n))))
context = $(or $(CONTEXT_$(1)),$(1))
network = $(or $(NETWORK_$(1)),network$(firstword $(call index,$(1))))
host = $(or $(HOST_$(1)),istio$(firstword $(call index,$(1))).$(DOMAIN))
kubectl = kubectl --context=$(call context,$(1))
echo-image = $(IMAGE_REPOSITORY)/echo:$(TAG)
prober-image = $(IMAGE_REPOSITORY)/prober:$(TAG)
overlay = $(OVERLAYS)/$(1)/$(2)

# $(call each,MACRO): the lines of MACRO for each cluster.
each = $(foreach c,$(CLUSTERS),$(call $(1),$(c))$(newline))
# $(call pairs,MACRO): the same for each cluster and each other one.
pairs = $(foreach a,$(CLUSTERS),$(foreach b,$(filter-out $(a),$(CLUSTERS)),$(call $(1),$(a),$(b))$(newline)))

# Words that are said more than once.
twice = $(strip $(foreach w,$(sort $(1)),$(if $(word 2,$(filter $(w),$(1))),$(w))))
networks = $(foreach c,$(CLUSTERS),$(call network,$(c)))
contexts = $(foreach c,$(CLUSTERS),$(call context,$(c)))
hosts = $(foreach c,$(CLUSTERS),$(call host,$(c)))
wrong = $(error $(SETTINGS): $(1))

# What a number looks like, and what it is.
number-PODS = ^[1-9][0-9]{0,4}$$
number-RATE = ^[0-9]*[1-9][0-9]*([.][0-9]+)?$$|^[0-9]+[.][0-9]*[1-9][0-9]*$$
number-DEADLINE = ^[0-9]+$$
number-ISTIO_REVISION = ^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$$
what-PODS = how many pods each cluster has
what-RATE = requests per second
what-DEADLINE = a number of seconds
what-ISTIO_REVISION = a-z, 0-9 and -, as in 1-31

# Read before anything is done: settings that cannot be right end make with one line.
define check-settings
$(if $(word 2,$(CLUSTERS)),,$(call wrong,CLUSTERS is '$(CLUSTERS)'; name at least two clusters))
$(if $(call twice,$(CLUSTERS)),$(call wrong,CLUSTERS names '$(call twice,$(CLUSTERS))' twice))
$(if $(call twice,$(networks)),$(call wrong,two clusters have the network '$(call twice,$(networks))'; each needs one of its own: NETWORK_…))
$(if $(call twice,$(contexts)),$(call wrong,two clusters have the context '$(call twice,$(contexts))'; each needs one of its own: CONTEXT_…))
$(if $(call twice,$(hosts)),$(call wrong,two clusters have the host '$(call twice,$(hosts))'; each needs one of its own: HOST_…))
$(if $(filter istio gateway,$(API)),,$(call wrong,API is '$(API)'; it is istio or gateway))
$(if $(filter istio gateway,$(EAST_WEST)),,$(call wrong,EAST_WEST is '$(EAST_WEST)'; it is istio or gateway))
$(if $(filter address dns none,$(INGRESS)),,$(call wrong,INGRESS is '$(INGRESS)'; it is address$(comma) dns or none))
$(foreach c,$(CLUSTERS),$(if $(shell printf '%s' '$(c)' | grep -E '^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$$'),,$(call wrong,'$(c)' is no name for a cluster; use a-z$(comma) 0-9 and -)))
$(foreach v,MESH_ID DOMAIN IMAGE_REPOSITORY TAG ISTIO_VERSION CERTS,$(if $(strip $($(v))),,$(call wrong,$(v) is empty)))
$(foreach v,PODS RATE DEADLINE $(if $(strip $(ISTIO_REVISION)),ISTIO_REVISION),$(if $(shell printf '%s' '$($(v))' | grep -E '$(number-$(v))'),,$(call wrong,$(v) is '$($(v))'; it is $(what-$(v)))))
$(foreach v,OUTLIER_DETECTION STRICT_MTLS IMAGES_PUSHED,$(if $(filter-out 1,$($(v))),$(call wrong,$(v) is '$($(v))'; it is 1 or empty)))
endef

settings:
	$(strip $(check-settings))

# ---- What is written for each cluster ----

# Requests per second of one pod.
rate-per-pod = $(shell awk 'BEGIN { printf "%.6g", $(RATE) / ($(PODS) * $(words $(CLUSTERS))) }')

define write-overlay
tools/k8s-overlay $(OVERLAYS)/$(1) CLUSTER=$(1) CLUSTERS=$(subst $(space),$(comma),$(strip $(CLUSTERS))) MESH_ID=$(MESH_ID) NETWORK=$(call network,$(1)) HOST=$(call host,$(1)) ECHO_IMAGE=$(echo-image) PROBER_IMAGE=$(prober-image)$(if $(ISTIO_REVISION), REVISION=$(ISTIO_REVISION))$(if $(REGION_$(1)), REGION=$(REGION_$(1)))$(if $(ZONE_$(1)), ZONE=$(ZONE_$(1)))$(if $(filter-out istio,$(API)), API=$(API))$(if $(filter-out istio,$(EAST_WEST)), EAST_WEST=$(EAST_WEST))$(if $(TLS_SECRET), TLS_SECRET=$(TLS_SECRET))$(if $(OUTLIER_DETECTION), OUTLIER_DETECTION=$(OUTLIER_DETECTION))$(if $(STRICT_MTLS), STRICT_MTLS=$(STRICT_MTLS))$(2)
endef

overlays: settings ## Write the kustomize overlays of all clusters
	$(call each,write-overlay)

# What doctor is told of the clusters.
clusters-said = $(foreach c,$(CLUSTERS),--cluster=$(c)$(comma)$(call context,$(c))$(comma)$(call network,$(c))$(if $(API_SERVER_$(c)),$(comma)$(API_SERVER_$(c))))

doctor: settings ## Check tools, contexts, permissions, API servers; say what to mend
	tools/doctor --istio=$(ISTIO_VERSION) --certs=$(CERTS) --image=$(echo-image) --image=$(prober-image) $(clusters-said) all

# ---- Certificates ----

certs: settings ## Make a root and an authority for each cluster
	$(CARGO) build --release --locked --package certs
	$(CERTS_PROGRAM) generate --out $(CERTS) $(foreach c,$(CLUSTERS),--cluster $(c))

define namespace
$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),namespace)
endef

define certs-into
$(namespace)
$(kubectl) --namespace=istio-system create secret generic cacerts --from-file=$(CERTS)/$(1)/ca-cert.pem --from-file=$(CERTS)/$(1)/ca-key.pem --from-file=$(CERTS)/$(1)/root-cert.pem --from-file=$(CERTS)/$(1)/cert-chain.pem --dry-run=client --output=yaml | $(kubectl) apply --server-side --force-conflicts -f -
endef

certs-install: overlays ## Give each cluster its authority, before `install`
	tools/doctor --certs=$(CERTS) $(clusters-said) contexts local-certs installed-certs
	$(call each,certs-into)

define certs-out-of
$(kubectl) --namespace=istio-system delete secret cacerts --ignore-not-found
endef

certs-uninstall: settings ## Take the authorities out of the clusters
	tools/doctor $(clusters-said) contexts
	$(call each,certs-out-of)

# ---- Istio ----

# $(call wait-address,CLUSTER,SERVICE): until a load balancer has given it an address.
define wait-address
@echo '$(1): waiting for the external address of service/$(2), at most $(DEADLINE) s'
$(kubectl) --namespace=istio-system wait --for=jsonpath='{.status.loadBalancer.ingress}' --timeout=$(DEADLINE)s service/$(2) || { echo '$(1): service/$(2) got no external address in $(DEADLINE) s; see why: $(kubectl) --namespace=istio-system describe service/$(2)' >&2; exit 1; }
endef

define wait-programmed
@echo '$(1): waiting until gateway/$(2) is brought up, at most $(DEADLINE) s'
$(kubectl) --namespace=istio-system wait --for=condition=Programmed --timeout=$(DEADLINE)s gateways.gateway.networking.k8s.io/$(2) || { echo '$(1): gateway/$(2) was not brought up in $(DEADLINE) s; see why: $(kubectl) --namespace=istio-system describe gateways.gateway.networking.k8s.io/$(2)' >&2; exit 1; }
endef

define wait-rollout
$(kubectl) --namespace=$(2) rollout status --timeout=$(DEADLINE)s deployment/$(3) || { echo '$(1): deployment/$(3) did not come up in $(DEADLINE) s; see why: $(kubectl) --namespace=$(2) describe pods' >&2; exit 1; }
endef

# The resources of the Gateway API are not part of Kubernetes; none are replaced.
define gateway-api
$(kubectl) get crd gateways.gateway.networking.k8s.io >/dev/null 2>&1 || $(kubectl) apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/$(GATEWAY_API_VERSION)/standard-install.yaml
$(kubectl) wait --for=condition=Established --timeout=$(DEADLINE)s crd/gateways.gateway.networking.k8s.io
endef

# The kinds of resources that a gateway of istioctl is made of.
of-a-gateway = deployment,service,serviceaccount,hpa,pdb,role,rolebinding

istiod = istiod$(if $(ISTIO_REVISION),-$(ISTIO_REVISION))

# What the other API has as east-west gateway goes once this one is there.
define east-west-istio
kubectl kustomize $(call overlay,$(1),east-west) >$(call overlay,$(1),east-west.yaml)
istioctl install -y --readiness-timeout=$(DEADLINE)s --context=$(call context,$(1)) -f $(call overlay,$(1),east-west.yaml)
$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),expose-services)
$(call wait-address,$(1),istio-eastwestgateway)
$(call if-known,$(1),gateways.gateway.networking.k8s.io,$(kubectl) --namespace=istio-system delete gateways.gateway.networking.k8s.io istio-eastwestgateway --ignore-not-found)
endef

define east-west-gateway
$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),east-west)
$(call wait-programmed,$(1),istio-eastwestgateway)
$(call wait-address,$(1),istio-eastwestgateway-istio)
$(call if-known,$(1),gateways.networking.istio.io,$(kubectl) --namespace=istio-system delete gateways.networking.istio.io cross-network-gateway --ignore-not-found)
$(kubectl) --namespace=istio-system delete $(of-a-gateway) --selector=istio=eastwestgateway --ignore-not-found
endef

define install-istio
$(namespace)
$(if $(filter gateway,$(EAST_WEST) $(API)),$(gateway-api)$(newline))kubectl kustomize $(call overlay,$(1),control-plane) >$(call overlay,$(1),control-plane.yaml)
istioctl install -y --readiness-timeout=$(DEADLINE)s --context=$(call context,$(1)) -f $(call overlay,$(1),control-plane.yaml)
$(call wait-rollout,$(1),istio-system,$(istiod))
$(call east-west-$(EAST_WEST),$(1))
endef

# The first cluster's secret, for the second to read the first.
define remote-secret
istioctl create-remote-secret --context=$(call context,$(1)) --name=$(1)$(if $(API_SERVER_$(1)), --server=$(API_SERVER_$(1))) | $(call kubectl,$(2)) apply --server-side --force-conflicts -f -
endef

install: overlays ## Join the clusters into one Istio mesh
	tools/doctor --istio=$(ISTIO_VERSION) $(clusters-said) tools contexts permissions networks api-servers certs
	$(call each,install-istio)
	$(call pairs,remote-secret)
	tools/doctor --deadline=$(DEADLINE) $(clusters-said) synced

define show-status
$(kubectl) --namespace=istio-system get deployments,services
istioctl remote-clusters --context=$(call context,$(1))
istioctl proxy-status --context=$(call context,$(1))
endef

status: settings ## Show how Istio is in each cluster, and whom it reads
	tools/doctor --istio=$(ISTIO_VERSION) $(clusters-said) istioctl contexts
	$(call each,show-status)
	tools/doctor --deadline=0 $(clusters-said) certs synced

define remove-secret
$(call kubectl,$(2)) --namespace=istio-system delete secret istio-remote-secret-$(1) --ignore-not-found
endef

# $(call if-known,CLUSTER,RESOURCE,COMMAND): kubectl refuses kinds that the cluster does not know.
define if-known
known=$$($(kubectl) get crd $(2) --ignore-not-found --output=name) && if [ -n "$$known" ]; then $(3); fi
endef

# What istiod made by itself goes too: its root in every namespace, classes of gateways.
define remove-all-of-istio
istioctl uninstall -y --purge --context=$(call context,$(1))
$(kubectl) delete namespace istio-system --ignore-not-found --timeout=$(DEADLINE)s
$(kubectl) delete configmap --all-namespaces --field-selector=metadata.name=istio-ca-root-cert --ignore-not-found
$(kubectl) delete configmap --all-namespaces --field-selector=metadata.name=istio-ca-crl --ignore-not-found
$(call if-known,$(1),gatewayclasses.gateway.networking.k8s.io,$(kubectl) delete gatewayclasses.gateway.networking.k8s.io istio istio-remote istio-waypoint istio-east-west --ignore-not-found)
$(kubectl) get crd --output=name | grep '[.]istio[.]io$$' | xargs -r $(kubectl) delete --ignore-not-found
endef

# Other revisions stay, and with them all that they use: the namespace, the kinds of resources, the secrets
# of other clusters, the ingress and the samples.
define remove-revision
known=$$($(kubectl) --namespace=istio-system get deployment $(istiod) --ignore-not-found --output=name) && if [ -n "$$known" ]; then istioctl uninstall -y --revision=$(ISTIO_REVISION) --context=$(call context,$(1)); fi
$(kubectl) --namespace=istio-system delete $(of-a-gateway) --selector=istio.io/rev=$(ISTIO_REVISION) --ignore-not-found
$(call if-known,$(1),gateways.gateway.networking.k8s.io,$(kubectl) --namespace=istio-system delete gateways.gateway.networking.k8s.io --selector=istio.io/rev=$(ISTIO_REVISION) --ignore-not-found)
endef

define remove-istio
$(call if-known,$(1),gateways.networking.istio.io,$(kubectl) --namespace=istio-system delete gateways.networking.istio.io cross-network-gateway --ignore-not-found)
$(call if-known,$(1),gateways.gateway.networking.k8s.io,$(kubectl) --namespace=istio-system delete gateways.gateway.networking.k8s.io istio-eastwestgateway --ignore-not-found)
$(remove-all-of-istio)
endef

# Before the first of them takes anything away.
uninstall-tools: settings
	tools/doctor --istio=$(ISTIO_VERSION) $(clusters-said) istioctl contexts

ifeq ($(strip $(ISTIO_REVISION)),)
uninstall: uninstall-tools ingress-uninstall echo-uninstall ## Take Istio and the samples out of the clusters; ISTIO_REVISION=…: only that revision
	$(call pairs,remove-secret)
	$(call each,remove-istio)
else
uninstall: uninstall-tools
	$(call each,remove-revision)
	@echo 'revision $(ISTIO_REVISION) is gone; what all revisions use is left. If it had taken a gateway over, make install brings back that of the other revision; without ISTIO_REVISION, make uninstall takes all away'
endif

# ---- Ingress ----

# What the other API has at the ingress goes once this one is there.
define ingress-istio
$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),ingress)
$(call wait-address,$(1),istio-ingressgateway)
$(ingress-out-of-gateway)
endef

define ingress-gateway
$(gateway-api)
$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),ingress)
$(call wait-programmed,$(1),echo)
$(call wait-address,$(1),echo-istio)
$(ingress-out-of-istio)
endef

define ingress-into
$(call ingress-$(API),$(1))
endef

ingress-install: overlays ## Lead the host names to the services; API=gateway: by the Gateway API
	tools/doctor $(clusters-said) $(if $(TLS_SECRET),--tls-secret=$(TLS_SECRET)) $(if $(filter istio,$(API)),--ingress=istio-ingressgateway) contexts istio
	$(call each,ingress-into)

define ingress-out-of-istio
$(call if-known,$(1),gateways.networking.istio.io,$(kubectl) --namespace=istio-system delete gateways.networking.istio.io$(comma)virtualservices.networking.istio.io echo --ignore-not-found)
endef

define ingress-out-of-gateway
$(call if-known,$(1),gateways.gateway.networking.k8s.io,$(kubectl) --namespace=istio-disabled delete httproutes.gateway.networking.k8s.io echo1 --ignore-not-found && $(kubectl) --namespace=istio-enabled delete httproutes.gateway.networking.k8s.io echo2 --ignore-not-found && $(kubectl) --namespace=istio-system delete gateways.gateway.networking.k8s.io echo --ignore-not-found)
endef

define ingress-out-of
$(ingress-out-of-istio)
$(ingress-out-of-gateway)
endef

ingress-uninstall: settings ## Take that away
	tools/doctor $(clusters-said) contexts
	$(call each,ingress-out-of)

# ---- Images ----

revision = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# When the commit was made: for prober --version, and for BuildKit as the time of the image.
epoch = $(shell git log -1 --format=%ct 2>/dev/null)
docker-args = $(DOCKER_FLAGS) --build-arg VERSION=$(TAG) --build-arg REVISION=$(revision)$(if $(epoch), --build-arg SOURCE_DATE_EPOCH=$(epoch))$(if $(BUILDER), --build-arg BUILDER=$(BUILDER))

docker: ## Build both images
	DOCKER_BUILDKIT=1 $(DOCKER) build $(docker-args) --target echo --tag $(echo-image) .
	DOCKER_BUILDKIT=1 $(DOCKER) build $(docker-args) --target prober --tag $(prober-image) .

docker-push: ## Push both images; PLATFORMS=linux/amd64,linux/arm64: for all of them
ifeq ($(strip $(PLATFORMS)),)
	$(DOCKER) push $(echo-image)
	$(DOCKER) push $(prober-image)
else
	$(DOCKER) buildx build $(docker-args) --platform $(PLATFORMS) --target echo --tag $(echo-image) --push .
	$(DOCKER) buildx build $(docker-args) --platform $(PLATFORMS) --target prober --tag $(prober-image) --push .
endif

test-image: ## Build both images with a Docker engine, and run them
	tools/test-image

# ---- The sample ----

# Options of an earlier run that are not wanted any more go.
define echo-into
$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),echo)
$(if $(OUTLIER_DETECTION),,$(call if-known,$(1),destinationrules.networking.istio.io,$(kubectl) --namespace=istio-enabled delete destinationrules.networking.istio.io echo2 --ignore-not-found))
$(if $(STRICT_MTLS),,$(call if-known,$(1),peerauthentications.security.istio.io,$(kubectl) --namespace=istio-enabled delete peerauthentications.security.istio.io default --ignore-not-found))
endef

define echo-ready
$(call wait-rollout,$(1),istio-disabled,echo1)
$(call wait-rollout,$(1),istio-disabled,sleep)
$(call wait-rollout,$(1),istio-enabled,echo2)
$(call wait-rollout,$(1),istio-enabled,sleep)
endef

echo-install: overlays ## Bring echo1, echo2 and the clients to each cluster
	tools/doctor $(clusters-said) --image=$(echo-image) --image=$(prober-image) contexts istio$(if $(IMAGES_PUSHED),, images)
	$(call each,echo-into)
	$(call each,echo-ready)

define matrix-cluster
--cluster=$(1),$(call context,$(1)),$(call host,$(1))$(if $(INGRESS_IP_$(1)),$(comma)$(INGRESS_IP_$(1)))
endef

echo-status: settings ## Ask everything from everywhere, and say who answers
	$(if $(filter $(TARGET_DIR)/release/prober,$(PROBER)),$(CARGO) build --release --locked --package prober)
	tools/doctor $(clusters-said) contexts clients
	mkdir -p $(OVERLAYS)
	tools/mesh-matrix --api=$(API) --ingress=$(INGRESS)$(if $(TLS_SECRET), --https)$(if $(TLS_CACERT), --cacert=$(TLS_CACERT))$(if $(OUTLIER_DETECTION), --local) $(foreach c,$(CLUSTERS),$(call matrix-cluster,$(c))) >$(OVERLAYS)/matrix.yaml
	$(PROBER) matrix $(OVERLAYS)/matrix.yaml

define echo-out-of
$(kubectl) delete namespace istio-disabled istio-enabled --ignore-not-found --timeout=$(DEADLINE)s
endef

echo-uninstall: settings ## Take the sample out of the clusters
	tools/doctor $(clusters-said) contexts
	$(call each,echo-out-of)

# ---- Load from many nodes, and a check every few minutes ----

# The pods of one load are one sample.
run-id := load-$(shell date +%s)
load-args = LOAD_PODS=$(PODS) 'LOAD_ARGS=--target=$(TARGET) --rate=$(rate-per-pod) --duration=$(DURATION) --run-id=$(run-id) --output=json --quiet'

define load-into
$(kubectl) --namespace=istio-enabled delete job load --ignore-not-found --timeout=$(DEADLINE)s
$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),load)
endef

load: settings ## Load from PODS in each cluster at RATE in all, and merge their reports
	$(if $(filter $(TARGET_DIR)/release/prober,$(PROBER)),$(CARGO) build --release --locked --package prober)
	tools/doctor $(clusters-said) contexts clients
	$(foreach c,$(CLUSTERS),$(call write-overlay,$(c), $(load-args))$(newline))
	$(call each,load-into)
	tools/collect-load --pods=$(PODS) --deadline=$(DEADLINE) --into=$(OVERLAYS)/load $(foreach c,$(CLUSTERS),--cluster=$(c)$(comma)$(call context,$(c)))
	$(PROBER) merge $(foreach c,$(CLUSTERS),$(OVERLAYS)/load/$(c)-*.json)

define check-into
$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),check)
endef

check-install: overlays ## Check the expectations in each cluster every five minutes
	tools/doctor $(clusters-said) contexts clients
	$(call each,check-into)

define check-out-of
$(kubectl) --namespace=istio-enabled delete cronjob,serviceaccount check --ignore-not-found
endef

check-uninstall: settings ## Stop that
	tools/doctor $(clusters-said) contexts
	$(call each,check-out-of)

# ---- Watching ----

# ServiceMonitor and rules are kinds of the Prometheus operator, which not all clusters have.
define watch-into
$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),watch)
$(call if-known,$(1),servicemonitors.monitoring.coreos.com,$(kubectl) apply --server-side --force-conflicts -k $(call overlay,$(1),monitoring))
endef

define watch-ready
$(call wait-rollout,$(1),istio-enabled,watch)
endef

watch-install: overlays ## Watch on and on in each cluster, with metrics, alerts and a dashboard
	tools/doctor $(clusters-said) contexts clients
	$(call each,watch-into)
	$(call each,watch-ready)

define watch-out-of
$(kubectl) --namespace=istio-enabled delete deployment,service,serviceaccount,networkpolicy,configmap --selector=app=watch --ignore-not-found
$(call if-known,$(1),servicemonitors.monitoring.coreos.com,$(kubectl) --namespace=istio-enabled delete servicemonitors.monitoring.coreos.com$(comma)prometheusrules.monitoring.coreos.com watch --ignore-not-found)
endef

watch-uninstall: settings ## Stop that
	tools/doctor $(clusters-said) contexts
	$(call each,watch-out-of)
