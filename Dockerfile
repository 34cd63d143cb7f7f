# syntax=docker/dockerfile:1.7

# docker build -t sealgate .                       the production image (last stage)
# docker build -t sealgate:demo --target demo .    the same program with --demo in it

FROM rust:1.95-slim-bookworm AS fetch
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
# Stand-ins for our sources: the layers down to `dependencies` stay cached until Cargo.lock changes.
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo fetch --locked

# From here on no step has a network.
FROM fetch AS dependencies
RUN --network=none cargo build --release --locked --offline --no-default-features --features otlp

FROM dependencies AS build
COPY src src
# COPY keeps old modification times; without `touch` cargo takes the stand-ins for up to date.
RUN --network=none touch src/lib.rs src/main.rs \
    && cargo build --release --locked --offline --no-default-features --features otlp

FROM dependencies AS build-demo
COPY src src
RUN --network=none touch src/lib.rs src/main.rs \
    && cargo build --release --locked --offline

# What the program needs of an operating system: the C library it was linked with, and two directories.
# Trust anchors are compiled in (webpki-roots). The package notes are for vulnerability scanners.
FROM build AS root
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN --network=none mkdir -p /root-fs/var/lib/dpkg/status.d \
    && ldd target/release/sealgate | grep -o '/[^ ]*' | xargs cp -L --parents -t /root-fs \
    && for package in libc6 libgcc-s1; do \
         dpkg-query --status "$package" > "/root-fs/var/lib/dpkg/status.d/$package" || exit 1; \
       done \
    && install -d -m 1777 /root-fs/tmp \
    && install -d -m 0700 -o 65532 -g 65532 /root-fs/keys

FROM scratch AS base
COPY --from=root /root-fs /
COPY LICENSE* /licenses/
USER 65532:65532
ENTRYPOINT ["/sealgate"]

# The demo binds loopback only: docker run --rm --network host sealgate:demo
FROM base AS demo
COPY --from=build-demo /build/target/release/sealgate /sealgate
CMD ["--demo"]

FROM base AS production
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sealgate" \
      org.opencontainers.image.description="A Backend-for-Frontend without a session store" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /build/target/release/sealgate /sealgate
ENV SEALGATE_CONFIG=/etc/sealgate/sealgate.toml \
    SEALGATE__KEYS__DIR=/keys
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/sealgate", "--health"]
