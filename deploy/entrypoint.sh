#!/bin/sh
# Starts Rowless in a container whose root may be read-only: only /data (the home) and /tmp are written.
# Numba loads what it compiled before from a folder that it can write to. The image has it compiled; it is copied to /tmp,
# so that no start compiles anew.
set -eu
mkdir -p "$NUMBA_CACHE_DIR"
cp -R /opt/rowless/numba/. "$NUMBA_CACHE_DIR"
exec rowless "$@"
