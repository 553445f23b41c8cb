# The images of `echo` and `prober`: one static program each, on nothing.
#   docker build --target echo --tag NAME/echo:TAG .
#   docker build --target prober --tag NAME/prober:TAG .
# Needs BuildKit. For several platforms: docker buildx build --platform linux/amd64,linux/arm64 …
# Rust cross-compiles on the machine's own platform; nothing is emulated.

# Where no registry is reached, name an image with Rust and a C compiler of your own. The
# digest is that of the index of all platforms: `docker buildx imagetools inspect TAG`.
ARG BUILDER=docker.io/library/rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082

FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
ARG TARGETARCH
WORKDIR /src
COPY . .
# For prober --version: the commit, and the time of the sources.
ARG REVISION
ARG SOURCE_DATE_EPOCH
RUN --mount=type=cache,id=prober-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=prober-target-$TARGETARCH,target=/target \
    CARGO_TARGET_DIR=/target PROBER_COMMIT="$REVISION" tools/build-static "$TARGETARCH" /out

# What both have in common: who made it, and a user without a name or a right.
FROM scratch AS base
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
# So that `kubectl exec POD -- prober …` finds the program.
ENV PATH=/
USER 65532:65532

FROM base AS prober
LABEL org.opencontainers.image.title="prober" \
      org.opencontainers.image.description="Asks a URL many times and proves who answered"
# For https targets: scratch trusts nobody.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/prober /prober
ENTRYPOINT ["/prober"]

FROM base AS echo
LABEL org.opencontainers.image.title="echo" \
      org.opencontainers.image.description="Says which pod in which cluster answered"
COPY --from=build /out/echo /echo
EXPOSE 8080 8081
ENTRYPOINT ["/echo"]
