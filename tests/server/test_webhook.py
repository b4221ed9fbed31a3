"""What goes to a webhook and how: its signature by the specification, and every way an attempt can end."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from budgets.alerts import alerts, outbox
from budgets.alerts.outbox import Delivery
from server import webhook
from server.runtime.dispatching import Dispatcher
from server.webhook import Address
from tests.budgets.world import make_world
from tests.certificates import certify
from tests.receiver import SECRET, Sent, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.databases import Databases
    from tests.receiver import Receiver

KEY = webhook.parse_secret(SECRET)
ENTRY = {
    "index": 41,
    "time": "2026-11-23T18:04:05.123Z",
    "actor": "system",
    "role": "system",
    "action": "alert.refusals",
    "subject": f"user:{'c' * 64}",
    "study": "flu",
    "summary": "a user of the role researcher was refused 20 times — within 10 minutes",
    "facts": {"actor": "c" * 64, "role": "researcher", "count": 20, "minutes": 10},
    "previous": "0" * 64,
}
DELIVERY = Delivery(41, ENTRY, "ab" * 32, 1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver."""
    with receiving() as running:
        yield running


def send(receiver: Receiver, url: str | None = None) -> str | None:
    """Send the alert once."""
    assert KEY is not None
    address = webhook.parse_url(url or receiver.url)
    assert address is not None
    sent = webhook.body(DELIVERY)
    return webhook.post(address, webhook.headers(KEY, DELIVERY, sent, int(time.time())), sent)


def test_the_signature_is_that_of_the_specification() -> None:
    """What is signed is `id.timestamp.body`: `openssl dgst -sha256 -mac HMAC` made this vector, and not the library."""
    assert KEY is not None
    sent = webhook.body(DELIVERY)
    assert hashlib.sha256(sent).hexdigest() == "a30b8a96377e15ed40b1648a3f2a40bcdf3fe5e5c0e3c47362ff33edee2ef5ce"
    signed = webhook.headers(KEY, DELIVERY, sent, 1614265330)
    assert signed["webhook-id"] == f"msg_{'ab' * 16}"
    assert signed["webhook-timestamp"] == "1614265330"
    assert signed["webhook-signature"] == "v1,9co+V/XzMydk9drDB506XH9ha5mOTKs7wUSX7/NKRhs="


def test_the_example_of_the_specification_holds() -> None:
    """The receiver of these tests, which checks without the library, agrees with the specification's own example."""
    key = webhook.parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert key is not None
    headers = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330"}
    sent = Sent("/", headers, b'{"test": 2432232314}')
    assert sent.expected(key) == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_independent_receiver_verifies_it(receiver: Receiver) -> None:
    """A receiver that knows the secret takes what was sent, and refuses another key, a changed body, id or time."""
    assert send(receiver) is None
    (sent,) = receiver.wait_for(1)
    assert sent.path == "/in?token=secret"
    assert sent.headers["content-type"] == "application/json"
    said = sent.verified()
    assert said["type"] == "alert.refusals"
    assert said["timestamp"] == ENTRY["time"]
    assert said["data"]["index"] == 41
    assert said["data"]["leaf_hash"] == "ab" * 32
    assert said["data"]["summary"] == ENTRY["summary"]
    assert said["data"]["facts"] == {"count": 20, "minutes": 10}
    signature = sent.headers["webhook-signature"].removeprefix("v1,")
    key = base64.b64decode(SECRET.removeprefix(webhook.PREFIX))
    assert sent.expected(key) == signature
    assert sent.expected(b"another key of 24 bytes!") != signature
    for changed in (
        replace(sent, body=sent.body.replace(b"20", b"19")),
        replace(sent, headers={**sent.headers, "webhook-id": "msg_other"}),
        replace(sent, headers={**sent.headers, "webhook-timestamp": str(int(time.time()) - 60)}),
    ):
        assert changed.expected(key) != signature


def test_webhook_body_names_nobody_and_is_canonical() -> None:
    """Neither a commitment nor a role of a person is in the body; it is the one JSON text of its value."""
    sent = webhook.body(DELIVERY)
    assert b"c" * 64 not in sent
    assert b'"role"' not in sent
    assert json.dumps(json.loads(sent), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == sent


def test_an_alert_that_is_told_twice_has_the_same_id(receiver: Receiver) -> None:
    """The id is the alert's, not the attempt's."""
    send(receiver)
    send(receiver)
    first, second = receiver.wait_for(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == f"msg_{'ab' * 16}"


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_webhook_status_other_than_2xx_is_failure(receiver: Receiver, status: int) -> None:
    """Any status but 2xx is a failure that says so."""
    receiver.status = status
    assert send(receiver) == f"it answered with {status}"
    for good in (200, 201, 202, 204):
        receiver.status = good
        assert send(receiver) is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    """A redirect is a failure, and nothing goes where it points."""
    with receiving() as other:
        receiver.status, receiver.location = status, other.url
        assert send(receiver) == f"it answered with {status}"
        assert other.arrived == []


def test_webhook_without_listener_fails_in_words(receiver: Receiver) -> None:
    """A closed port, a name that is none and an endpoint that speaks no HTTP are failures in words."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert send(receiver, f"http://127.0.0.1:{port}/") == webhook.UNREACHABLE
    assert send(receiver, "http://no-such-host.invalid/") == webhook.UNREACHABLE
    assert send(receiver, f"https://127.0.0.1:{receiver.port}/") == webhook.UNTRUSTED


def test_only_a_good_certificate_is_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTPS nothing is sent to who cannot show a certificate that the machine trusts; to who can, it is."""
    key, certificate = certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiving(context) as receiver:
        url = receiver.url.replace("http:", "https:")
        assert send(receiver, url) == webhook.UNTRUSTED
        assert receiver.arrived == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert send(receiver, url) is None
        assert receiver.wait_for(1)[0].verified()["data"]["index"] == 41
        assert send(receiver, url.replace("127.0.0.1", "localhost")) == webhook.UNTRUSTED


def test_an_answer_that_does_not_come_is_a_failure(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence ends the attempt after a step's time."""
    monkeypatch.setattr(webhook, "STEP_SECONDS", 0.3)
    receiver.open.clear()
    began = time.monotonic()
    assert send(receiver) == webhook.LATE
    assert time.monotonic() - began < 9, "the usual time of a step is 10 seconds"


def test_an_answer_that_drips_is_cut_off(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that sends a byte now and then cannot hold the thread: the whole attempt has its time."""
    monkeypatch.setattr(webhook, "WHOLE_SECONDS", 0.8)
    receiver.drips = True
    began = time.monotonic()
    assert send(receiver) == webhook.LATE
    assert 0.5 < time.monotonic() - began < 25, "the usual time of an attempt is 30 seconds"


def test_an_attempt_ends_before_anybody_else_may_try() -> None:
    """The first pause between attempts is longer than any attempt."""
    assert outbox.pause_seconds(0) >= webhook.WHOLE_SECONDS + 10


def test_webhook_url_gives_host_port_and_target() -> None:
    """Where a URL leads: its host, port and target, with its query."""
    assert webhook.parse_url("https://Example.org") == Address(True, "example.org", None, "/")
    assert webhook.parse_url("http://[::1]:8080/a/b?c=d&e") == Address(False, "::1", 8080, "/a/b?c=d&e")
    assert webhook.parse_url("off") is None
    assert webhook.parse_secret("off") is None


def test_the_dispatcher_tells_what_waits_and_goes_on_after_failures(
    databases: Databases, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alerts are told in their order; a refused one waits; one that was raised while it runs is told too; stop ends it."""
    monkeypatch.setattr("server.runtime.dispatching.LOOK_SECONDS", 0.05)
    world = make_world(databases)

    def put(number: int) -> None:
        with world.database.write() as transaction:
            alerts.put(transaction, "budget", "study:s", f"alert {number}", study="s", facts={"number": number})

    address = webhook.parse_url(receiver.url)
    assert address is not None
    assert KEY is not None
    dispatcher = Dispatcher(world.database, address, KEY)
    put(1)
    put(2)
    dispatcher.start()
    try:
        told = [one.verified()["data"]["facts"]["number"] for one in receiver.wait_for(2)]
        assert told == [1, 2]
        receiver.status = 500
        put(3)
        receiver.wait_for(3)
        receiver.status = 200
        put(4)
        told = [one.verified()["data"]["facts"]["number"] for one in receiver.wait_for(4)]
        assert told == [1, 2, 3, 4]
        world.edit("UPDATE deliveries SET next_at = '2020-01-01T00:00:00.000Z'")
        told = [one.verified()["data"]["facts"]["number"] for one in receiver.wait_for(5)]
        assert told == [1, 2, 3, 4, 3]
    finally:
        dispatcher.stop()
    assert "rowless-webhook" not in [thread.name for thread in threading.enumerate()]
    with world.database.read() as transaction:
        assert not outbox.due(transaction)
    world.database.close()


def test_the_dispatcher_outlives_its_database(
    databases: Databases, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the ledger cannot be used nothing is told; afterwards it is."""
    monkeypatch.setattr("server.runtime.dispatching.LOOK_SECONDS", 0.05)
    world = make_world(databases)
    with world.database.write() as transaction:
        alerts.put(transaction, "budget", "study:s", "an alert", study="s", facts={})
    world.edit("ALTER TABLE deliveries RENAME TO gone")
    address = webhook.parse_url(receiver.url)
    assert address is not None
    assert KEY is not None
    dispatcher = Dispatcher(world.database, address, KEY)
    dispatcher.start()
    try:
        time.sleep(0.5)
        assert receiver.arrived == []
        world.edit("ALTER TABLE gone RENAME TO deliveries")
        receiver.wait_for(1)
    finally:
        dispatcher.stop()
        world.database.close()
