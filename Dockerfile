# The images of the three services, one target each; run in the repository's root:
#
#   docker build -t toxic-comment-endpoint .                          (the last target, which is inference)
#   docker build -t toxic-comment-endpoint:gpu --build-arg EXTRA=gpu .
#   docker build -t toxic-training --target training .
#   docker build -t toxic-registry --target registry .
#
# The inference image contains the shipped model, so that it serves by itself:
#
#   docker run -p 127.0.0.1:8001:8001 -e PORT=8001 -e INFERENCE_ALLOW_UNAUTHENTICATED=true toxic-comment-endpoint
#
# With INFERENCE_MODEL_DIRECTORY= (empty) and INFERENCE_REGISTRY_URI it serves a registry's champion.
#
# OpenVINO computes its models. TensorFlow is left out: EXTRA=tensorflow adds the CPU build, for versions that OpenVINO
# declines, and EXTRA=gpu the build for NVIDIA GPUs (tag `gpu`).
#
# A builder without BuildKit builds every stage above a target, so the cheapest service comes first; name the target
# there: --target inference.

FROM python:3.11-slim-bookworm AS build
ARG PIP_INDEX_URL
WORKDIR /opt/toxic
COPY constraints.txt ./
COPY infra/containers infra/containers
COPY libs/toxic_core/pyproject.toml libs/toxic_core/
COPY libs/toxic_model/pyproject.toml libs/toxic_model/

FROM python:3.11-slim-bookworm AS runtime
RUN groupadd --gid 10001 toxic \
 && useradd --uid 10001 --gid toxic --home-dir /tmp --no-create-home --shell /usr/sbin/nologin toxic
COPY infra/containers/healthcheck.py /opt/toxic/
# A file has its mode of the checkout, which may be open to its owner only.
RUN chmod -R a+rX /opt/toxic
# The same variables as infra/telemetry.env, which a Dockerfile can't read; a test compares them.
ENV DO_NOT_TRACK=1 \
    DISABLE_TELEMETRY=1 \
    KEDRO_DISABLE_TELEMETRY=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    RAY_USAGE_STATS_ENABLED=0 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    ORT_DISABLE_TELEMETRY=1
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
STOPSIGNAL SIGTERM

# --- inference: the page and the API on 8001, gRPC on INFERENCE_GRPC_PORT

FROM build AS build-inference
ARG EXTRA=
COPY services/inference/pyproject.toml services/inference/
RUN infra/containers/install-dependencies.sh libs/toxic_core libs/toxic_model services/inference:otel,$EXTRA
COPY libs libs
COPY services/inference services/inference
RUN /opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-cache --no-deps --compile-bytecode \
    libs/toxic_core libs/toxic_model services/inference
# The shipped model is packed, and served as it is. Its card and its report are for people.
COPY models/baseline /opt/models/1
RUN rm /opt/models/1/README.md /opt/models/1/evaluation.html && chmod -R a+rX /opt/models

FROM runtime AS inference
RUN install -d -o toxic -g toxic /var/lib/toxic
COPY --from=build-inference /opt/venv /opt/venv
COPY --from=build-inference /opt/models /opt/models
ENV INFERENCE_HOST=0.0.0.0 \
    INFERENCE_MODEL_DIRECTORY=/opt/models \
    INFERENCE_CACHE_DIR=/var/lib/toxic/cache \
    INFERENCE_STATE_DIR=/var/lib/toxic/state
ARG REVISION=unknown
LABEL org.opencontainers.image.title="toxic-comment-endpoint" \
      org.opencontainers.image.description="Scores comments for toxicity: the page, the API, the doors of others" \
      org.opencontainers.image.revision=$REVISION
WORKDIR /var/lib/toxic
USER 10001:10001
VOLUME /var/lib/toxic
EXPOSE 8001 8500
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "/opt/toxic/healthcheck.py", "/health/ready", "8001", "INFERENCE_PORT", "PORT"]
CMD ["python", "-m", "toxic_inference"]

# --- registry: MLflow's server on 5000, with the gate and the ledger in its store

FROM build AS build-registry
COPY services/registry/pyproject.toml services/registry/
RUN infra/containers/install-dependencies.sh libs/toxic_core libs/toxic_model services/registry:image
COPY libs libs
COPY services/registry services/registry
RUN /opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-cache --no-deps --compile-bytecode \
    libs/toxic_core libs/toxic_model services/registry

FROM runtime AS registry
RUN install -d -o toxic -g toxic /var/lib/registry
COPY --from=build-registry /opt/venv /opt/venv
ENV REGISTRY_HOST=0.0.0.0 \
    REGISTRY_STATE_DIR=/var/lib/registry
ARG REVISION=unknown
LABEL org.opencontainers.image.title="toxic-registry" \
      org.opencontainers.image.description="MLflow with a gate before every champion and a ledger behind it" \
      org.opencontainers.image.revision=$REVISION
WORKDIR /var/lib/registry
USER 10001:10001
VOLUME /var/lib/registry
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "/opt/toxic/healthcheck.py", "/health/ready", "5000", "REGISTRY_PORT"]
CMD ["python", "-m", "toxic_registry", "serve"]

# --- training: Kedro's server on 8002, and the container that `make train` uses

FROM build AS build-training
COPY services/training/pyproject.toml services/training/
RUN infra/containers/install-dependencies.sh libs/toxic_core libs/toxic_model services/training
# A Kedro project runs in the folder of its conf/, so it is installed from there.
COPY libs libs
COPY services/training services/training
RUN /opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-cache --no-deps \
    -e libs/toxic_core -e libs/toxic_model -e services/training \
 && /opt/venv/bin/python -m compileall -q libs services
COPY models/baseline models/baseline
RUN chmod -R a+rX /opt/toxic

FROM runtime AS training
RUN install -d -o toxic -g toxic /data /data/01_raw
COPY --from=build-training /opt/venv /opt/venv
COPY --from=build-training /opt/toxic /opt/toxic
COPY data/sample /opt/toxic/data/sample
RUN chmod -R a+rX /opt/toxic/data
# Matplotlib and Kedro write to folders of their own.
ENV MPLCONFIGDIR=/tmp/matplotlib \
    GIT_PYTHON_REFRESH=quiet \
    TOXIC_DATA_DIR=/data \
    TOXIC_DEMO_DIR=/data/demo \
    TRAINING_STATE_DIR=/data/state \
    TRAINING_HOST=0.0.0.0
ARG REVISION=unknown
ENV TOXIC_CODE_REVISION=$REVISION
LABEL org.opencontainers.image.title="toxic-training" \
      org.opencontainers.image.description="Trains, evaluates and registers a multilingual toxicity model" \
      org.opencontainers.image.revision=$REVISION
WORKDIR /opt/toxic/services/training
USER 10001:10001
VOLUME /data
EXPOSE 8002
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "/opt/toxic/healthcheck.py", "/health", "8002", "TRAINING_PORT"]
CMD ["python", "-m", "toxic_training", "server", "start"]

# --- what is built if no target is named

FROM inference AS endpoint
