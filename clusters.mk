# The settings of the walk on Kubernetes: the only file to change. What is not said has the
# default that is named. A file of your own is taken by `make … SETTINGS=my.mk`; single
# settings also stand on the command line: `make install CLUSTERS='east west'`.

# The clusters, by the names that they have in the mesh: two or more.
CLUSTERS := kops gke1

# For each: its context of kubectl (default: the cluster's name), network (network1, …),
# ingress host (istio1.$(DOMAIN), …), and where its nodes are, if Kubernetes is older than
# 1.35 and does not tell the pods itself (default: unknown).
#   CONTEXT_gke1 := gke_my-project_us-central1-a_gke1
#   NETWORK_gke1 := vpc-2
#   HOST_gke1 := echo.example.com
#   REGION_gke1 := us-central1
#   ZONE_gke1 := us-central1-a
# The API server as the other clusters reach it, if kubectl's address is another.
#   API_SERVER_gke1 := https://10.1.2.3
# The ingress gateway's address, if it is not to be asked of the cluster.
#   INGRESS_IP_gke1 := 34.82.246.2

DOMAIN := xiaowenx.com
MESH_ID := mesh1

# Images are $(IMAGE_REPOSITORY)/echo:$(TAG) and $(IMAGE_REPOSITORY)/prober:$(TAG).
IMAGE_REPOSITORY := docker.io/xiaowenx
TAG := 0.1.0

# Istio: the release that istioctl must be of, and a revision if it is not the default one.
ISTIO_VERSION := 1.31
ISTIO_REVISION :=

# Where `make certs` puts the certificates. Keep the root's key away from the clusters.
CERTS := certificates
