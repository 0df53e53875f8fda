# syntax=docker/dockerfile:1

# The page is the same for every processor.
FROM --platform=$BUILDPLATFORM node:22-bookworm-slim AS page
WORKDIR /sotto/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY web ./
RUN npm run build

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /sotto
# Whisper for any x86-64 machine of the last ten years (AVX2), instead of for the one that builds the image. It costs
# nothing measurable. On 64-bit ARM NEON is always there.
ARG TARGETARCH
ENV GGML_NATIVE=OFF
COPY . .
COPY --from=page /sotto/web/dist web/dist
# Another `id` whenever .cargo/config.toml has whisper.cpp built otherwise: Cargo would take the one that was built before.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/sotto/target,id=sotto-target-2 \
    if [ "$TARGETARCH" = "amd64" ]; then \
        export GGML_SSE42=ON GGML_AVX=ON GGML_AVX2=ON GGML_FMA=ON GGML_F16C=ON GGML_BMI2=ON; \
    fi \
    && cargo build --release --locked --package sotto-server \
    && cp target/release/sotto /usr/local/bin/sotto

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libgomp1 libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/sotto sotto
COPY --from=build /usr/local/bin/sotto /usr/local/bin/sotto
USER sotto
WORKDIR /var/lib/sotto
ENV SOTTO_SERVER__LISTEN=0.0.0.0:8080 \
    SOTTO_SERVER__DATA=/var/lib/sotto/data \
    SOTTO_MEDIA__PORTS=20000-20199 \
    SOTTO_WEBRTC__LAST_PORT=21049 \
    SOTTO_MODELS=/var/lib/sotto/models
# Calls, recordings and models outlive the container.
VOLUME /var/lib/sotto
EXPOSE 8080/tcp 5060/udp 5060/tcp 20000-20199/udp 21000-21049/udp
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["sotto"]
CMD ["serve"]
