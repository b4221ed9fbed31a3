"""The provider of `provider.py` as a running process, and the settings of a server that takes its tokens."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import httpx

from tests.ports import free_port
from tests.server.sign_in.provider import AUDIENCE
from tests.serving import ROOT

RESEARCHER = "rowless-researcher"


@dataclass
class Provider:
    """A provider process."""

    issuer: str
    process: subprocess.Popen[bytes]

    def tell(self, what: str, **body: Any) -> Any:
        """Tell it what to do."""
        return httpx.post(f"{self.issuer}/test/{what}", json=body, timeout=30).json()

    def state(self) -> dict[str, Any]:
        """Return how often it was asked for what, and its public key."""
        found: dict[str, Any] = httpx.get(f"{self.issuer}/test/state", timeout=30).json()
        return found

    def token(self, subject: str = "s-eve", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token with these claims beside those of a good one; a claim of None is left out."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600}
        good |= {"preferred_username": subject.removeprefix("s-"), "roles": [RESEARCHER]}
        kept = {name: value for name, value in {**good, **claims}.items() if value is not None}
        signed: str = self.tell("sign", claims=kept, header=header or {})["token"]
        return signed

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.communicate(timeout=10)


def start() -> Provider:
    """Start a provider."""
    port = free_port()
    program = [sys.executable, "-m", "tests.server.sign_in.provider", str(port)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"port": port}
    return Provider(f"http://127.0.0.1:{port}", process)


def settings_of(issuer: str, **more: str) -> dict[str, str]:
    """Return the settings of a server that takes an issuer's tokens."""
    return {"oidc_issuer": issuer, "oidc_audience": AUDIENCE, "oidc_researcher": RESEARCHER, **more}
