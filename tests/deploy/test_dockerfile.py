"""The Dockerfile, without an engine to build it: what it copies is there, and what it runs runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ports import free_port
from tests.serving import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def test_files_of_the_container_are_sent_to_its_build() -> None:
    """Each file and folder that is copied exists, and .dockerignore lets it through."""
    copied = [name for line in re.findall(r"^COPY (?!--)(.*)$", TEXT, re.MULTILINE) for name in line.split()[:-1]]
    assert {"pyproject.toml", "queries", "budgets", "server"} <= set(copied)
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [name for name in copied if not (ROOT / name).exists() or f"!{name}" not in sent] == []


def test_base_image_needs_a_digest() -> None:
    """Both stages begin with PYTHON_IMAGE, and a build stops unless that has a digest."""
    assert re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    (check,) = re.findall(r"^RUN (case .*)$", TEXT, re.MULTILINE)

    def code(image: str) -> int:
        return subprocess.run(["sh", "-c", check], env={"PYTHON_IMAGE": image}, capture_output=True).returncode

    assert code(f"python:3.11-slim@sha256:{'0' * 64}") == 0
    assert code("python:3.11-slim") == 1


def test_image_runs_as_numeric_user_1000() -> None:
    """The image runs as user and group 1000, by number, so that a cluster sees that it is not root."""
    assert re.findall(r"^USER (.*)$", TEXT, re.MULTILINE) == ["1000:1000"]


def compile_line() -> str:
    """Return what Python runs to compile the kernel while the image is built."""
    (line,) = re.findall(r'^RUN NUMBA_CACHE_DIR=/opt/rowless/numba python -c "(.*?)"', TEXT, re.MULTILINE)
    assert "warm()" in line
    return line


def settings() -> dict[str, str]:
    """Return the environment that the image sets, but for the address to listen on: in a test that is this machine's own."""
    (line,) = re.findall(r"^ENV (.*)$", TEXT, re.MULTILINE)
    found = dict(word.split("=", 1) for word in line.split())
    assert found["ROWLESS_HOST"] == "0.0.0.0"
    return {**found, "ROWLESS_HOST": "127.0.0.1"}


# What a container engine does: a root of its own, to which nobody can write; /data and /tmp; and user 1000.
CONTAINER = """
set -eu; umask 022  # whatever the tests before it chose
root=$1; home=$2; compiled=$3; port=$4; shift 4
mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir -p "$root/tmp"; mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"  # first: what is tested may lie in /tmp itself
for path in /bin /sbin /lib /lib64 /usr /etc "$@"; do
    if [ -L "$path" ]; then cp -P "$path" "$root$path"; continue; fi
    [ -e "$path" ] || continue
    mkdir -p "$root$path"; mount --bind "$path" "$root$path"; mount -o remount,bind,ro "$root$path"
done
mkdir -p "$root/proc" "$root/dev" "$root/data" "$root/opt/rowless/numba" "$root/opt/bin"
mount --rbind /proc "$root/proc"; mount --rbind /dev "$root/dev"
mount --bind "$home" "$root/data"
cp -R "$compiled/." "$root/opt/rowless/numba"
cp "$ENTRYPOINT" "$root/opt/bin/rowless-container"
printf '#!/bin/sh\nexec "%s" -m server.cli "$@"\n' "$INTERPRETER" > "$root/opt/bin/rowless"
chmod -R a+rX "$root/opt"; chmod 755 "$root/opt/bin/rowless" "$root/opt/bin/rowless-container"
mount -o remount,ro "$root"
cd "$root"
exec chroot --userspec=1000:1000 --groups= "$root" /usr/bin/env -i PATH=/opt/bin:/usr/bin:/bin PYTHONPATH="$MODULES" \
    ROWLESS_PORT="$port" $SETTINGS sh -c "$COMMAND"
"""


@pytest.fixture
def namespaces() -> None:
    """Skip where this user cannot make a file system of their own: it takes root and a kernel that allows it."""
    tried = subprocess.run(["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /tmp"], capture_output=True)
    if tried.returncode:
        pytest.skip("no mount namespace can be made here, so no read-only root was tried")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder into which the line of the image compiled the kernel: it takes ten seconds."""
    folder = tmp_path_factory.mktemp("numba")
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    subprocess.run([sys.executable, "-c", compile_line()], cwd=ROOT, env=variables, check=True, timeout=600)
    return folder


@contextmanager
def container(folder: Path, compiled: Path, port: int, command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as in the container, its output in folder/log, until the block ends."""
    home, root = (folder / name for name in ("data", "root"))
    for path in (home, root):
        path.mkdir(exist_ok=True)
    os.chown(home, 1000, 1000)
    home.chmod(0o700)
    modules = [path for path in sys.path if path.endswith("site-packages")]
    packages = [str(ROOT / name) for name in ("server", "budgets", "queries")]
    variables = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "ENTRYPOINT": str(ROOT / "deploy" / "entrypoint.sh"),
        "INTERPRETER": os.path.realpath(sys.executable),
        "MODULES": ":".join([str(ROOT), *modules]),
        "SETTINGS": " ".join(f"{name}={value}" for name, value in settings().items()),
        "COMMAND": command,
    }
    bound = dict.fromkeys([sys.base_prefix, sysconfig.get_path("stdlib"), *modules, *packages])
    arguments = [str(root), str(home), str(compiled), str(port), *bound]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", CONTAINER, "sh", *arguments], env=variables, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(120)


def test_image_runs_as_user_1000_with_read_only_root(namespaces: None, compiled: Path, tmp_path: Path) -> None:
    """`init` and `serve` work as the image starts them, where only /data and /tmp can be written; the health check passes."""
    port = free_port()
    with container(
        tmp_path,
        compiled,
        port,
        "id -u; touch /opt/x 2>/dev/null || echo read-only; rowless-container init --dpo dora --approver vera --json",
    ) as process:
        assert process.wait(600) == 0, (tmp_path / "log").read_text()
    uid, refused, made = (tmp_path / "log").read_text().splitlines()[:3]
    assert (uid, refused) == ("1000", "read-only")
    assert json.loads(made)["audit_key"]
    assert {file.stat().st_uid for file in (tmp_path / "data").rglob("*")} == {1000}
    (check,) = re.findall(r'^HEALTHCHECK .* CMD python -c "(.*)"$', TEXT, re.MULTILINE)
    check = re.sub(r"\s+", " ", check.replace('\\"', '"'))
    (tmp_path / "log").unlink()
    with container(tmp_path, compiled, port, "exec rowless-container serve") as process:
        end = time.monotonic() + 300
        while not succeeds(check, port):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{PREFIX}/health/ready", timeout=60) as reply:
            assert reply.status == 200
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert re.search(r"^Uid:\t1000\t1000\t1000\t1000$", status, re.MULTILINE)
    assert process.returncode == 0
    written = (tmp_path / "log").read_text()
    assert "Traceback" not in written
    assert "Read-only" not in written


def succeeds(code: str, port: int) -> bool:
    """Return whether Python runs a text without an error."""
    variables = {**os.environ, "ROWLESS_PORT": str(port)}
    return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True).returncode == 0


def test_kernel_is_compiled_by_the_line_of_the_container(compiled: Path) -> None:
    """The line that compiles the kernel while the container is built runs, and leaves what it compiled in the cache."""
    assert len(list(compiled.rglob("*.nbc"))) > 5
