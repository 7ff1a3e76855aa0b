# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
# Further features of the program: `--build-arg FEATURES=cluster` for loads on several machines.
ARG FEATURES=
WORKDIR /build
COPY rust-toolchain.toml Cargo.toml Cargo.lock ./
COPY src ./src
# A member of the workspace: without it cargo does not read the manifest.
COPY tests/s3 ./tests/s3
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin pipeline --features "$FEATURES" \
    && cp target/release/pipeline /usr/local/bin/pipeline

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 pipeline \
    && install --directory --owner=pipeline --group=pipeline /project /project/.pipeline
COPY --from=build /usr/local/bin/pipeline /usr/local/bin/pipeline
COPY pipeline.yaml /project/
COPY pipelines /project/pipelines
COPY sql /project/sql
COPY migrations /project/migrations
COPY examples /project/examples
USER pipeline
WORKDIR /project
ENTRYPOINT ["pipeline"]
CMD ["--help"]
