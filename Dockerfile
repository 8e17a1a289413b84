# The image of Secretless Sidecar, for linux/amd64 and linux/arm64:
#
#   docker buildx build --platform linux/amd64,linux/arm64 -t secretless-sidecar:dev .
#
# Pin both bases by digest where an image is released, a tag can move:
#
#   docker buildx imagetools inspect node:24-bookworm-slim --format '{{ .Manifest.Digest }}'
#   docker buildx build --build-arg NODE_IMAGE=docker.io/library/node:24-bookworm-slim@sha256:… \
#     --build-arg BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:… .
#
# The base is distroless: the C library, libstdc++, authorities and time zones; no shell, no package tool. `node
# release/image/check.ts` runs this very file without a container engine and holds what comes out to its promises.
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# Node of the platform that the image is for; nothing runs in this stage.
FROM ${NODE_IMAGE} AS node

# JavaScript is the same on every platform: it is built on the builder's own, without emulation.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
# No install script runs, neither here nor below. A private registry: `--secret id=npmrc,src=$HOME/.npmrc`.
RUN --mount=type=cache,target=/root/.npm --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json LICENSE ./
COPY release release
COPY config/demo.yml config/secretless.schema.json config/
COPY connectors connectors
COPY src src
RUN npm run build
RUN --mount=type=cache,target=/root/.npm --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
COPY --from=node /usr/local/bin/node /build/node
RUN node release/image/assemble.ts --node /build/node --to /rootfs

# Compiled code fits one version of Node, one processor, one set of flags and one user id. So the final root itself makes
# it: the one step that needs the processor of the image, or its emulation. Another user id runs without, it starts slower.
FROM ${BASE_IMAGE} AS compiled
COPY --from=build /rootfs/opt /opt
COPY --from=build /build/release/image/warm.ts /build/release/image/warm.yml /warm/
COPY --from=build --chown=65532:65532 /rootfs/var/lib/secretless /var/lib/secretless
USER 65532:65532
RUN ["/opt/secretless/bin/node", "--disable-sigusr1", "--no-addons", "--disable-proto=delete", "--max-semi-space-size=4", \
  "--max-old-space-size-percentage=75", "/warm/warm.ts", "/opt/secretless/app", "/var/lib/secretless/compiled"]

FROM ${BASE_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://github.com/secretless-sidecar/secretless-sidecar
LABEL org.opencontainers.image.title="Secretless Sidecar" \
  org.opencontainers.image.description="A sidecar that lends credentials: agents connect to localhost holding nothing" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.source="${SOURCE}" \
  org.opencontainers.image.documentation="${SOURCE}#readme" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}"
# Root owns all of it and nobody can write it. Node is 0111: a program that cannot be read runs without being dumpable,
# so that a neighbour of the same user id reads neither its memory nor its environment (ptrace(2), proc(5)).
COPY --from=build /rootfs/opt /opt
COPY --from=compiled --chown=0:0 /var/lib/secretless/compiled /opt/secretless/compiled
COPY --from=build /rootfs/etc/secretless /etc/secretless
# State, and what agents share: the only folders that are written. Mount something over both; the rest is read-only.
COPY --from=build --chown=65532:65532 /rootfs/var/lib/secretless /var/lib/secretless
COPY --from=build --chown=65532:65532 /rootfs/run/secretless /run/secretless
ENV NODE_ENV=production \
  NODE_COMPILE_CACHE=/opt/secretless/compiled \
  SECRETLESS_HOME=/var/lib/secretless
WORKDIR /opt/secretless
USER 65532:65532
# Health and metrics, where `--telemetry` or the file says so.
EXPOSE 5335
STOPSIGNAL SIGTERM
# Asks over the control socket: no port need be open.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/opt/secretless/bin/node", \
  "--disable-sigusr1", "--no-addons", "--disable-proto=delete", "--max-semi-space-size=4", \
  "--max-old-space-size-percentage=75", "/opt/secretless/app/dist/src/cli/secretless.js", "wait-ready", "--timeout", "2"]
# No inspector by a signal, no native code, no `__proto__`; a young generation that keeps the process small, and an old one
# that leaves a quarter of the memory limit to buffers and stacks.
ENTRYPOINT ["/opt/secretless/bin/node", "--disable-sigusr1", "--no-addons", "--disable-proto=delete", \
  "--max-semi-space-size=4", "--max-old-space-size-percentage=75", "/opt/secretless/app/dist/src/cli/secretless.js"]
CMD ["start", "-f", "/etc/secretless/secretless.yml"]
