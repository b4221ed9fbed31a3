"""Ports and settings of the tests: none is one that a person's own server may have.

A test's server gets a free port and keeps it: nobody else is given it between the choice and the use. A process that
a test starts without a port or a home would have the defaults, 8000 and ./rowless-home: those of a demonstration that
runs in the same checkout. So the tests' environment names others, which cannot be used: whoever forgets to choose
fails at once, on every machine.
"""

from __future__ import annotations

import os
import socket

NO_HOME = "/dev/null/no-home-was-chosen"
_held: list[socket.socket] = []  # until the tests end


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, for a server that sets SO_REUSEADDR, as all of ours do.

    It stays bound here without listening: the system gives it to nobody else, neither to a server that asks for any
    port nor to a client's end of a connection, and Linux lets such a server listen on it all the same.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _held.append(held)
    port: int = held.getsockname()[1]
    return port


def taken_port() -> int:
    """Return a port of 127.0.0.1 on which nobody can listen: another socket has it, until the tests end."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    port: int = held.getsockname()[1]
    return port


def forget_settings() -> None:
    """Leave no setting of Rowless in this process's environment but a home and a port that cannot be used."""
    for name in [name for name in os.environ if name.startswith("ROWLESS_")]:
        del os.environ[name]
    os.environ["ROWLESS_HOME"], os.environ["ROWLESS_PORT"] = NO_HOME, str(taken_port())
