# syntax=docker/dockerfile:1
# `make image` builds it: it looks up the digest of the base image and passes it as PYTHON_IMAGE. A build without a digest
# stops at the first check below, because a tag may mean another image tomorrow.
ARG PYTHON_IMAGE=python:3.11-slim

# Stage 1: wheels of Rowless and all it needs, so that the second stage needs no build tools and no network.
# Every file that is downloaded has its hash in a lock file.
FROM ${PYTHON_IMAGE} AS wheels
ARG PYTHON_IMAGE
RUN case "$PYTHON_IMAGE" in *@sha256:*) ;; *) echo "name the base image with its digest: make image, or --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:..."; exit 1 ;; esac
WORKDIR /source
COPY requirements.lock requirements-build.lock ./
RUN pip wheel --no-cache-dir --require-hashes --only-binary=:all: --wheel-dir=/wheels --requirement=requirements.lock
RUN pip install --no-cache-dir --require-hashes --only-binary=:all: --requirement=requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY queries queries
COPY budgets budgets
COPY server server
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir=/wheels .

# Stage 2: what runs. The root may be read-only: it writes to /data and /tmp alone.
FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="Rowless" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="${PYTHON_IMAGE}"
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels rowless
# Compile the kernel now, so that no start has to.
RUN NUMBA_CACHE_DIR=/opt/rowless/numba python -c "from queries.execution import kernel; kernel.warm()" \
    && chmod -R a+rX /opt/rowless \
    && install -d -o 1000 -g 1000 -m 700 /data
COPY --chmod=755 deploy/entrypoint.sh /usr/local/bin/rowless-container
WORKDIR /
ENV ROWLESS_HOME=/data \
    ROWLESS_HOST=0.0.0.0 \
    ROWLESS_LOG_FORMAT=json \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/rowless-numba \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number and no name: Kubernetes can then see that it is not root.
USER 1000:1000
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=20s CMD python -c "import os, urllib.request; \
    urllib.request.urlopen(f'http://127.0.0.1:{os.environ.get(\"ROWLESS_PORT\", \"8000\")}/api/v1/health/ready', timeout=5)"
ENTRYPOINT ["rowless-container"]
CMD ["serve"]
