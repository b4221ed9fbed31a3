"""A question is charged once, whatever becomes of its replies, and the client says how to go on when it gives up."""

from __future__ import annotations

import datetime as dt
import http.server
import threading
import time
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from rowless_client import GaveUp, NotRowless, Refused, Rowless, TooBusy, Unreachable
from rowless_client.connection import waiting

from tests.clients.proxy import HALF_REPLY, LOSE_REPLY, LOSE_REQUEST, Proxy, Refuse, on_questions
from tests.ports import free_port
from tests.serving import serving

if TYPE_CHECKING:
    from rowless_client import Answer, Study

    from tests.clients.proxy import Fault, Request
    from tests.serving import Home, Server

SQL = "SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex"
BUSY = Refuse(503, "busy", retry_after="0")
TOO_MANY = Refuse(429, "too-many-requests", retry_after="0")
epsilons = (round(0.1 + 0.001 * n, 3) for n in range(1, 1000))


def first_of(faults: list[Any], _: Request) -> Fault | None:
    """Return the next fault for whatever comes, until there are none."""
    return faults.pop() if faults else None


def study_behind(proxy: Proxy, server: Server) -> Study:
    """Return a study as Ada sees it through a proxy."""
    return Rowless(proxy.url, server.home.tokens["ada"]).study("cost-sharing")


FAULTS = {
    "a reply that is lost": [LOSE_REPLY],
    "three replies that are lost": [LOSE_REPLY] * 3,
    "a request that is lost": [LOSE_REQUEST],
    "a reply that breaks off": [HALF_REPLY],
    "a busy server": [BUSY, BUSY],
    "a share in use": [TOO_MANY],
    "a proxy whose server is away": [Refuse(502, "unknown"), Refuse(504, "unknown")],
    "all of them": [TOO_MANY, LOSE_REPLY, BUSY, HALF_REPLY],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_one_answer_is_charged_once(server: Server, proxy: Proxy, faults: list[Any]) -> None:
    """Whatever goes wrong, the client returns the answer that the server stores, after one charge, under one key."""
    study, epsilon = study_behind(proxy, server), next(epsilons)
    before = server.home.reserved("cost-sharing")
    proxy.fault = on_questions(*faults)
    answer = study.ask(sql=SQL, epsilon=epsilon)
    assert len(proxy.questions) == len(faults) + 1
    assert {request.key for request in proxy.questions} == {answer.key} != {None}
    assert server.home.reserved("cost-sharing") == before + 1
    stored = server.client("ada").good("GET", f"/studies/cost-sharing/releases/{answer.id}")
    assert answer.rows == stored["rows"]


def test_a_server_that_dies_after_the_charge(home: Home) -> None:
    """The server is killed when the question is charged, and another is started: one answer, one charge."""
    answers: list[Answer] = []
    with serving(home) as first, Proxy(first.port) as proxy:
        first.open_study("cost-sharing", "rand-hie")
        study = study_behind(proxy, first)

        def die(request: Request) -> Fault | None:
            return None if proxy.upstream != first.port or not request.is_question else LOSE_REPLY

        proxy.fault = die
        asking = threading.Thread(target=lambda: answers.append(study.ask(sql=SQL, epsilon=0.5, seconds=100)))
        asking.start()
        while home.reserved() == 0:
            time.sleep(0.001)
        first.kill()
        with serving(home) as second:
            proxy.upstream = second.port
            asking.join(100)
    assert len(answers) == 1
    assert {request.key for request in proxy.questions} == {answers[0].key}
    assert len(proxy.questions) > 1
    assert home.reserved() == 1
    assert home.used_nano("study", "cost-sharing") == 500_000_000
    home.assert_sound()


def test_the_time_to_try_is_over(server: Server, proxy: Proxy) -> None:
    """The error carries the key; with it the next call gets the answer of the charge that was made."""
    study, epsilon = study_behind(proxy, server), next(epsilons)
    before = server.home.reserved("cost-sharing")
    proxy.fault = lambda request: LOSE_REPLY if request.is_question else None
    with pytest.raises(GaveUp) as gave_up:
        study.ask(sql=SQL, epsilon=epsilon, seconds=0.6)
    assert gave_up.value.key == study.last_key
    assert str(study.last_key) in str(gave_up.value)
    proxy.fault = on_questions()
    answer = study.ask(sql=SQL, epsilon=epsilon, key=gave_up.value.key)
    assert (answer.key, answer.replayed) == (gave_up.value.key, True)
    assert server.home.reserved("cost-sharing") == before + 1


def test_a_pause_that_is_too_long_is_not_waited_for(server: Server, proxy: Proxy) -> None:
    """If Retry-After lies beyond the time to try, the client gives up at once."""
    study = study_behind(proxy, server)
    proxy.fault = on_questions(Refuse(503, "busy", retry_after="3600"))
    with pytest.raises(GaveUp) as gave_up:
        study.ask(sql=SQL, epsilon=next(epsilons))
    assert isinstance(gave_up.value.__cause__, TooBusy)
    assert len(proxy.questions) == 1


def test_a_refusal_is_final(server: Server, proxy: Proxy) -> None:
    """What will be refused again is not sent again."""
    study = study_behind(proxy, server)
    with pytest.raises(Refused):
        study.ask(sql="SELECT nothing FROM nowhere", epsilon=0.1)
    assert len(proxy.questions) == 1


def test_free_calls_are_tried_again(server: Server, proxy: Proxy) -> None:
    """Lists, estimates and rehearsals are sent again after a lost reply."""
    study = study_behind(proxy, server)
    for call in (lambda: study.budget, study.releases, lambda: study.estimate(sql=SQL, epsilon=0.1)):
        lost: list[Any] = [LOSE_REPLY]
        proxy.fault = partial(first_of, lost)
        call()
        assert not lost


def test_an_act_is_not_done_twice(server: Server, proxy: Proxy) -> None:
    """A call that changes something is not sent again after a lost reply, because it may have been done."""
    admin = Rowless(proxy.url, server.home.tokens["admin"])
    _ = admin.me
    proxy.requests.clear()
    proxy.fault = lambda _: LOSE_REPLY
    with pytest.raises(Unreachable):
        admin.users.new_token("ben")
    assert len(proxy.requests) == 1
    # A busy server has done nothing, so the act is sent again.
    proxy.fault = partial(first_of, [BUSY])
    assert admin.users.new_token("ben", days=1)["token"]


def test_a_wrong_address_fails_at_once() -> None:
    """Where no server was ever reached, nothing is waited for."""
    began = time.monotonic()
    with pytest.raises(Unreachable):
        Rowless(f"http://127.0.0.1:{free_port()}", "t").study("s")
    assert time.monotonic() - began < 5


def test_a_redirect_is_not_followed(server: Server, proxy: Proxy) -> None:
    """The token goes to the address that was given, and nowhere else."""
    study = study_behind(proxy, server)
    with Proxy(server.port) as elsewhere:
        proxy.fault = lambda _: Refuse(307, "moved", location=elsewhere.url)
        with pytest.raises(NotRowless, match=elsewhere.url):
            _ = study.budget
        assert elsewhere.requests == []


class Stranger(http.server.BaseHTTPRequestHandler):
    """Some other server, which knows no page."""

    def do_GET(self) -> None:
        """Answer as servers of files do."""
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def test_another_server_is_named_as_such() -> None:
    """A 404 that is no problem document comes from a wrong address: it is no study that is missing."""
    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        with pytest.raises(NotRowless, match="is it the address of a server of Rowless"):
            Rowless(f"http://127.0.0.1:{stranger.server_address[1]}", "t").study("s")
        stranger.shutdown()


def test_pauses() -> None:
    """Retry-After is taken as seconds or as a date. Without one, or with nonsense, pauses double up to a limit."""
    assert (waiting.pause(0, "7"), waiting.pause(9, " 120 ")) == (7.0, 120.0)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90)
    assert 60 < waiting.pause(0, format_datetime(later)) <= 90
    assert waiting.pause(0, "Thu, 01 Jan 1970 00:00:00 GMT") == waiting.LEAST_SECONDS
    for turn in range(12):
        longest = min(waiting.FIRST_SECONDS * 2**turn, waiting.LONGEST_SECONDS)
        for told in (None, "soon", "-1"):
            assert longest / 2 <= waiting.pause(turn, told) <= longest
