# syntax=docker/dockerfile:1
FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
# The caches are not part of the layer, so the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin paceline && cp target/release/paceline /paceline

FROM debian:trixie-slim
# Object stores and Postgres are reached over TLS.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /paceline /usr/local/bin/paceline
COPY LICENSE /usr/share/doc/paceline/LICENSE
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["paceline"]
CMD ["--help"]
