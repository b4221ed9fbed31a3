"""Admission: shares, queues, order, deadlines, and clients that leave."""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from server.admission import gate as admission
from server.admission import running
from server.admission.gate import Gate, Limits
from server.admission.gates import Work
from server.errors import Abandoned, Busy, TooManyRequests
from server.runtime.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.admission.gate import Owner

SOON = 10.0  # seconds until something has happened that happens at once

ADA, BEN, CAT = (("user", name) for name in ("ada", "ben", "cat"))
FLU = ("study", "flu")


class Asker(threading.Thread):
    """A request of some owners: it enters, waits for its place, and keeps it until told to leave."""

    def __init__(self, gate: Gate, *owners: Owner, has_left: Callable[[], bool] = admission.stays, large: bool = False):
        super().__init__(daemon=True)
        self.gate, self.owners, self.has_left, self.large = gate, owners, has_left, large
        self.works, self.leaves = threading.Event(), threading.Event()
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Do what a request does."""
        try:
            with self.gate.entered(*self.owners) as entry, entry.place(self.has_left, large=self.large):
                self.works.set()
                self.leaves.wait()
        except (Abandoned, Busy, TooManyRequests) as error:
            self.error = error

    def end(self) -> None:
        """Leave."""
        self.leaves.set()
        self.join(SOON)
        assert not self.is_alive()


def waits(gate: Gate, working: int, waiting: int) -> None:
    """Wait until so many work and so many wait."""
    deadline = time.monotonic() + SOON
    while gate.count() != (working, waiting):
        assert time.monotonic() < deadline, gate.count()
        time.sleep(0.001)


def one_by_one(gate: Gate, *owners: tuple[Owner, ...]) -> list[Asker]:
    """Return a request of each, which arrived in this order."""
    found = []
    for each in owners:
        working, waiting = gate.count()
        found.append(Asker(gate, *each))
        deadline = time.monotonic() + SOON
        while sum(gate.count()) == working + waiting:
            assert time.monotonic() < deadline
            time.sleep(0.001)
    return found


def who_works(askers: list[Asker]) -> Asker:
    """Wait until one of several requests has its place, and return it."""
    deadline = time.monotonic() + SOON
    while not (found := [one for one in askers if one.works.is_set()]):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    (one,) = found
    return one


def test_share_of_a_user_is_kept_while_places_are_free() -> None:
    """Two of a user's three work although four places are free, and the third works when one has ended."""
    gate = Gate("query", Limits(places=4, share=2, waiting=8, queue=64))
    first, second, third = one_by_one(gate, (ADA,), (ADA,), (ADA,))
    waits(gate, 2, 1)
    assert not third.works.is_set()
    first.end()
    assert third.works.wait(SOON)
    second.end()
    third.end()
    assert gate.count() == (0, 0)


def test_share_of_a_study_is_kept_over_its_members() -> None:
    """A study has its share, however many members ask; and another study is answered at once."""
    gate = Gate("query", Limits(places=4, share=2, waiting=8, queue=64))
    askers = one_by_one(gate, (ADA, FLU), (BEN, FLU), (CAT, FLU))
    waits(gate, 2, 1)
    other = Asker(gate, CAT, ("study", "cold"))
    assert other.works.wait(SOON)
    for one in (*askers, other):
        one.end()


def test_request_beyond_the_share_is_refused_at_once() -> None:
    """With two at work and eight waiting, the eleventh of a user is refused; another user's is not."""
    gate = Gate("query", Limits(places=2, share=2, waiting=8, queue=64))
    askers = one_by_one(gate, *[(ADA,)] * 10)
    with pytest.raises(TooManyRequests), gate.entered(ADA):
        pytest.fail("it is refused before it does anything")
    with gate.entered(BEN):
        pass
    for one in askers:
        one.end()
    with gate.entered(ADA) as entry, entry.place():
        assert gate.count() == (1, 0)


def test_request_beyond_the_queue_is_refused_as_busy() -> None:
    """A full queue refuses whoever comes, and takes the next when one has left."""
    gate = Gate("query", Limits(places=1, share=1, waiting=1, queue=2))
    askers = one_by_one(gate, (ADA,), (BEN,), (CAT,))
    with pytest.raises(Busy), gate.entered(("user", "dan")):
        pytest.fail("it is refused before it does anything")
    askers[0].end()
    with gate.entered(("user", "dan")):
        pass
    for one in askers[1:]:
        one.end()


def test_other_users_come_before_one_who_was_just_served() -> None:
    """Of eight that one user has waiting and one of another, the other's comes next, though it arrived last."""
    gate = Gate("query", Limits(places=1, share=1, waiting=8, queue=64))
    askers = one_by_one(gate, *[(ADA,)] * 9)
    ben = one_by_one(gate, (BEN,))[0]
    askers[0].end()
    assert ben.works.wait(SOON)
    assert not any(one.works.is_set() for one in askers[1:])
    ben.end()
    for one in askers[1:]:
        assert one.works.wait(SOON), "in the order of arrival"
        one.end()


def test_nobody_starves_beside_users_who_ask_again_and_again() -> None:
    """Of five users who come back before their turn is over, none gets a turn more than another."""
    gate = Gate("query", Limits(places=1, share=1, waiting=1, queue=64))
    first = Asker(gate, CAT)
    assert first.works.wait(SOON)
    users = [("user", f"u{number}") for number in range(5)]
    waiting = one_by_one(gate, *[(user,) for user in users])
    working, order = first, []
    for _ in range(100):
        working.end()
        working = who_works(waiting)
        waiting.remove(working)
        order.append(working.owners[0])
        waiting += one_by_one(gate, working.owners)
    working.end()
    for one in waiting:
        one.leaves.set()
    for one in waiting:
        one.end()
    assert [order.count(user) for user in users] == [20] * 5


def test_large_requests_leave_places_to_small_ones() -> None:
    """With one place for large ones, a second large one waits and a small one does not."""
    gate = Gate("estimate", Limits(places=3, share=1, waiting=8, queue=64), large_places=1)
    first = Asker(gate, ADA, large=True)
    assert first.works.wait(SOON)
    second, small = Asker(gate, BEN, large=True), Asker(gate, CAT)
    assert small.works.wait(SOON)
    waits(gate, 2, 1)
    first.end()
    assert second.works.wait(SOON)
    second.end()
    small.end()


def test_request_of_a_client_that_left_is_dropped() -> None:
    """A request that waits is dropped at the next beat after its client left, and one whose client left never works."""
    gate = Gate("query", Limits(places=1, share=1, waiting=8, queue=64))
    first, gone = Asker(gate, ADA), threading.Event()
    assert first.works.wait(SOON)
    second = Asker(gate, BEN, has_left=gone.is_set)
    waits(gate, 1, 1)
    gone.set()
    second.join(SOON)
    assert isinstance(second.error, Abandoned)
    assert gate.count() == (1, 0)
    first.end()
    third = Asker(gate, BEN, has_left=lambda: True)
    third.join(SOON)
    assert isinstance(third.error, Abandoned)


def test_wait_ends_after_so_many_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that found no place is refused as busy after its beats, and has left the queue."""
    monkeypatch.setattr(admission, "BEATS", 2)
    gate = Gate("query", Limits(places=1, share=1, waiting=8, queue=64))
    first = Asker(gate, ADA)
    assert first.works.wait(SOON)
    began = time.monotonic()
    second = Asker(gate, BEN)
    second.join(SOON)
    assert isinstance(second.error, Busy)
    assert time.monotonic() - began >= 2 * admission.BEAT_SECONDS_LEAST
    first.end()
    assert gate.count() == (0, 0)


def test_closing_refuses_what_waits_and_leaves_what_works() -> None:
    """When the server stops, waiting requests are refused and working ones go on."""
    gate = Gate("query", Limits(places=1, share=1, waiting=8, queue=64))
    first, second = one_by_one(gate, (ADA,), (BEN,))
    gate.close()
    second.join(SOON)
    assert isinstance(second.error, Busy)
    assert first.works.is_set()
    assert first.is_alive()
    with pytest.raises(Busy), gate.entered(CAT):
        pytest.fail("it is refused before it does anything")
    first.end()


def test_counts_hold_whatever_comes() -> None:
    """A thousand requests of ten users and three studies at random: no limit is passed, and in the end nobody is inside."""
    limits = Limits(places=3, share=2, waiting=4, queue=20)
    gate = Gate("query", limits)
    working: list[tuple[Owner, ...]] = []
    passed: list[str] = []
    ended: list[str] = []
    lock = threading.Lock()

    def run(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(50):
            owners = (("user", f"u{chance.randrange(10)}"), ("study", f"s{chance.randrange(3)}"))
            try:
                with gate.entered(*owners) as entry, entry.place(lambda: chance.random() < 0.1):
                    with lock:
                        working.append(owners)
                        if len(working) > limits.places:
                            passed.append("places")
                        passed.extend(
                            str(one) for one in owners if sum(one in other for other in working) > limits.share
                        )
                    time.sleep(chance.random() * 0.002)
                    with lock:
                        working.remove(owners)
                    ended.append("answered")
            except (Abandoned, Busy, TooManyRequests) as error:
                ended.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert passed == []
    assert len(ended) == 1000
    assert {"answered", "Abandoned", "TooManyRequests"} <= set(ended)
    assert gate.count() == (0, 0)
    with ExitStack() as inside:
        for number in range(limits.most):
            inside.enter_context(gate.entered(("user", str(number))))


def test_threads_are_enough_for_everything_that_can_be_inside() -> None:
    """Every request inside a gate has a thread, and some threads are left for refusals and health."""
    gates = load_settings({"ROWLESS_QUERIES": "5", "ROWLESS_WAITING": "2"}).gates
    assert gates.query.limits == Limits(places=5, share=2, waiting=2, queue=16)
    assert gates.threads > sum(gate.limits.places + gate.limits.queue for gate in gates)
    assert {gate.what for gate in gates} == set(Work)


def test_a_place_that_becomes_free_wakes_one_thread() -> None:
    """Of twenty that wait only the next one is woken: each that looks in vain delays the others."""
    gate = Gate("query", Limits(places=1, share=1, waiting=20, queue=20), beat_seconds=60)
    looks: list[int] = []

    def look(number: int) -> Callable[[], bool]:
        def has_left() -> bool:
            looks.append(number)
            return False

        return has_left

    first = Asker(gate, ("user", "first"))
    assert first.works.wait(SOON)
    others = []
    for number in range(20):
        others.append(Asker(gate, ("user", f"{number}"), has_left=look(number)))
        waits(gate, 1, number + 1)
    looks.clear()
    first.end()
    for one in others:  # in the order of arrival
        assert one.works.wait(SOON)
        one.end()
    assert sorted(looks) == list(range(20))  # each looks once, when it gets its place


def test_one_who_gives_up_passes_the_turn_on() -> None:
    """If the next one is woken and leaves instead, the one after it gets the place at once, and not a beat later."""
    gate = Gate("query", Limits(places=1, share=1, waiting=20, queue=20), beat_seconds=60)
    gone = threading.Event()
    first = Asker(gate, ("user", "first"))
    assert first.works.wait(SOON)
    leaver = Asker(gate, ("user", "leaver"), has_left=gone.is_set)
    waits(gate, 1, 1)
    last = Asker(gate, ("user", "last"))
    waits(gate, 1, 2)
    gone.set()
    first.end()
    assert last.works.wait(SOON)
    last.end()
    leaver.join(SOON)
    assert isinstance(leaver.error, Abandoned)


def aside(gate: Gate, *, large: bool = False) -> int:
    """Take a place in a gate, and return how often the request had stepped aside by then."""
    found: list[None] = []
    with running.counted(lambda: found.append(None)), gate.entered(ADA) as entry, entry.place(large=large):
        return len(found)


def test_what_takes_long_steps_aside_once_it_has_its_place() -> None:
    """Large requests do, and all of a kind that takes long; the others keep their turn."""
    limits = Limits(2, 2, 0, 0)
    assert aside(Gate("query", limits)) == 0
    assert aside(Gate("query", limits), large=True) == 1
    assert aside(Gate("export", limits, long=True)) == 1
    gates = load_settings({}).gates
    assert {gate.what for gate in gates if gate.long} == {Work.VERIFICATION, Work.EXPORT, Work.RENDERING}


def test_whoever_waits_for_a_place_steps_aside() -> None:
    """Else two that wait for places would keep all others from beginning."""
    gate = Gate("query", Limits(1, 1, 1, 2))
    first = Asker(gate, BEN)
    assert first.works.wait(SOON)
    stepped = threading.Event()

    def wait() -> None:
        with running.counted(stepped.set), gate.entered(ADA) as entry, entry.place():
            pass

    second = threading.Thread(target=wait)
    second.start()
    assert stepped.wait(SOON)
    waits(gate, 1, 1)
    first.end()
    second.join(SOON)
    assert not second.is_alive()
