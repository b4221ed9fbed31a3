"""What waits for the webhook: claimed once, put off, given up, and never lost."""

from __future__ import annotations

import datetime as dt
import json
import threading
from typing import TYPE_CHECKING

from budgets.alerts import alerts, outbox
from budgets.database import clock
from budgets.database.connection import Database
from tests.databases import rows

if TYPE_CHECKING:
    from budgets.alerts.outbox import Delivery
    from tests.budgets.world import World


def put(world: World, number: int = 0) -> int:
    """Raise an alert and return its position."""
    with world.database.write() as transaction:
        alerts.put(transaction, "budget", "study:s", f"alert {number}", study="s", facts={"number": number})
    ((position,),) = rows(world.url, "SELECT max(position) FROM audit_entries")
    return int(position)


def claim(world: World) -> Delivery | None:
    """Claim an alert."""
    with world.database.write() as transaction:
        return outbox.claim(transaction)


def wait(world: World, **span: float) -> None:
    """Let time pass for what waits."""
    earlier = {
        "raised_at": dict(rows(world.url, "SELECT position, raised_at FROM deliveries")),
        "next_at": dict(rows(world.url, "SELECT position, next_at FROM deliveries")),
    }
    for column, found in earlier.items():
        for position, text in found.items():
            moved = clock.text(dt.datetime.fromisoformat(text) - dt.timedelta(**span))
            world.edit(f"UPDATE deliveries SET {column} = '{moved}' WHERE position = {position}")


def test_alert_waits_in_outbox_until_told(people_only: World) -> None:
    """What is claimed is due again later with one attempt more, as it was, until it is done."""
    position = put(people_only, 7)
    first = claim(people_only)
    assert first is not None
    assert (first.position, first.attempts, first.entry["facts"]) == (position, 1, {"number": 7})
    assert claim(people_only) is None
    with people_only.database.read() as transaction:
        assert not outbox.due(transaction)
    wait(people_only, seconds=55)
    assert claim(people_only) is None
    wait(people_only, seconds=6)
    with people_only.database.read() as transaction:
        assert outbox.due(transaction)
    again = claim(people_only)
    assert again is not None
    assert (again.position, again.leaf_hash, again.attempts) == (position, first.leaf_hash, 2)
    with people_only.database.write() as transaction:
        outbox.done(transaction, position)
    wait(people_only, days=1)
    assert claim(people_only) is None
    assert rows(people_only.url, "SELECT * FROM deliveries") == []


def test_webhook_retry_pauses_grow_to_four_hours() -> None:
    """A minute, then three times as long each time, and never more than four hours."""
    pauses = [outbox.pause_seconds(attempts) for attempts in range(1000)]
    assert pauses[:7] == [60, 180, 540, 1620, 4860, 14400, 14400]
    assert set(pauses[7:]) == {14400}


def test_the_oldest_is_told_first_and_one_that_fails_holds_up_none(people_only: World) -> None:
    """Alerts are claimed in their order; what was tried already stands behind what was not."""
    first, second = put(people_only, 1), put(people_only, 2)
    claimed = [claim(people_only), claim(people_only), claim(people_only)]
    assert [one and one.position for one in claimed] == [first, second, None]


def test_what_nobody_took_is_given_up_and_the_log_says_so(people_only: World) -> None:
    """After three days an alert is tried no more, and one entry names it; a younger one goes on."""
    old = [put(people_only, 1), put(people_only, 2)]
    wait(people_only, days=2, hours=23)
    assert claim(people_only) is not None
    assert "webhook.give-up" not in [a for (a,) in rows(people_only.url, "SELECT action FROM audit_entries")]
    wait(people_only, hours=2)
    young = put(people_only, 3)
    found = claim(people_only)
    assert found is not None
    assert found.position == young
    ((body, actor),) = rows(people_only.url, "SELECT body, actor FROM audit_entries WHERE action = 'webhook.give-up'")
    assert (json.loads(body)["facts"], actor) == ({"alerts": old, "days": 3}, "system")
    assert rows(people_only.url, "SELECT position FROM deliveries") == [(young,)]


def test_many_that_are_given_up_are_many_entries_of_bounded_size(people_only: World) -> None:
    """No entry names more than 100 alerts."""
    with people_only.database.write() as transaction:
        for number in range(250):
            alerts.put(transaction, "budget", "study:s", f"alert {number}", study="s", facts={})
    with people_only.database.write() as transaction:
        transaction.exec_driver_sql("UPDATE deliveries SET raised_at = '2020-01-01T00:00:00.000Z'")
    while claim(people_only):
        pass
    bodies = rows(people_only.url, "SELECT body FROM audit_entries WHERE action = 'webhook.give-up'")
    assert [len(json.loads(body)["facts"]["alerts"]) for (body,) in bodies] == [100, 100, 50]


def test_two_servers_claim_no_alert_twice(people_only: World) -> None:
    """Four threads with connections of their own claim 40 alerts: each is claimed once."""
    wanted = [put(people_only, number) for number in range(40)]
    claimed: list[int] = []
    start = threading.Barrier(4)

    def serve() -> None:
        database = Database(people_only.url)
        try:
            start.wait()
            while True:
                with database.write() as transaction:
                    found = outbox.claim(transaction)
                if found is None:
                    return
                claimed.append(found.position)
        finally:
            database.close()

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(claimed) == wanted


def test_an_alert_whose_entry_was_cut_off_holds_nobody_up(people_only: World) -> None:
    """A row without its entry, as after a tampering, goes; the next alert is told."""
    lost, kept = put(people_only, 1), put(people_only, 2)
    people_only.edit(f"DELETE FROM audit_entries WHERE position = {lost}")
    found = [claim(people_only), claim(people_only)]
    assert [one.position for one in found if one is not None] == [kept]
