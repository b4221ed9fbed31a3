# syntax=docker/dockerfile:1

# Stage 1: wheels of Rowless and all it needs, so that the second stage needs no build tools and no network.
FROM python:3.11-slim AS wheels
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY queries queries
COPY budgets budgets
COPY server server
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

# Stage 2: what runs.
FROM python:3.11-slim
RUN useradd --create-home --uid 1000 rowless \
    && install -d -o rowless -g rowless -m 700 /data /var/cache/rowless
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels rowless
USER rowless
WORKDIR /
ENV ROWLESS_HOME=/data \
    ROWLESS_HOST=0.0.0.0 \
    NUMBA_CACHE_DIR=/var/cache/rowless \
    PYTHONUNBUFFERED=1
# Compile the kernel now, so that no start has to.
RUN python -c "from queries.execution import kernel; kernel.warm()"
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=20s CMD python -c "import os, urllib.request; \
    urllib.request.urlopen(f'http://127.0.0.1:{os.environ.get(\"ROWLESS_PORT\", \"8000\")}/api/v1/health', timeout=5)"
ENTRYPOINT ["rowless"]
CMD ["serve"]
