"""Each statistic is registered once and complete, and what it says of itself agrees with what it measures."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from queries.language import nodes
from queries.plan import Counted
from queries.planning import fingerprint
from queries.statistics import registry
from queries.statistics.counts import Count
from queries.statistics.parts.exactness import FixedMargin, GroupMargin, RankMargin
from queries.statistics.parts.lists import LISTS
from queries.statistics.parts.members import Shape
from queries.statistics.statistic import Statistic
from tests.queries import clinic
from tests.queries import registry as pathways
from tests.queries.clinic import URGENT
from tests.queries.ward import EVERY, planned

if TYPE_CHECKING:
    from queries.plan import Draft

ONE = nodes.Privacy(epsilon_nano=10**9)
EACH = pytest.mark.parametrize("statistic", registry.STATISTICS, ids=registry.WORDS)


def test_every_node_is_registered_once() -> None:
    """The registry has one object for each type of node, and each is found by its node and by its word."""
    kinds = [statistic.node for statistic in registry.STATISTICS]
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) == set(nodes.Statistic.__args__)
    assert len(set(registry.WORDS)) == len(kinds)
    for statistic in registry.STATISTICS:
        assert registry.called(statistic.word) is statistic
    for node in EVERY.values():
        assert registry.of(node).word == nodes.word_of(node)


@pytest.mark.parametrize("method", sorted(Statistic.__abstractmethods__ | FixedMargin.__abstractmethods__))
def test_a_statistic_without_a_method_is_refused(method: str) -> None:
    """An object of a class that lacks one method cannot be made, so the registry with it cannot be loaded."""
    left = {name: getattr(Count, name) for name in FixedMargin.__abstractmethods__ if name != method}
    lacking = type("Lacking", (FixedMargin,), {**left, method: _missing()})
    with pytest.raises(TypeError, match=method):
        lacking()


def _missing() -> Any:
    def method() -> None:
        raise NotImplementedError

    method.__isabstractmethod__ = True  # type: ignore[attr-defined]
    return method


@EACH
def test_its_members_say_all_of_its_node(statistic: Statistic[Any]) -> None:
    """The first member is called by its word, and the members hold each field of the node but its filter."""
    assert statistic.members[0].name == statistic.word
    assert statistic.members[0].required
    held = {member.field for member in statistic.members}
    implied = {"listed"}  # that `at` is a list says so
    assert {field.name for field in fields(statistic.node)} - implied - {"where"} == held
    assert statistic.has_filter == ("where" in {field.name for field in fields(statistic.node)})


@EACH
def test_statistic_has_one_kind_of_margin_and_known_layout(statistic: Statistic[Any]) -> None:
    """Each is of one of the three kinds, and its lists are among those that tables read."""
    assert sum(isinstance(statistic, kind) for kind in (FixedMargin, GroupMargin, RankMargin)) == 1
    assert statistic.listed is None or LISTS[statistic.listed.member] is statistic.listed


# Two values of each shape, over the table of the clinic; of a curve, over persons' waits.
VALUES: dict[Shape, tuple[object, object]] = {
    Shape.COUNTED: ("persons", "events"),
    Shape.COLUMN: ("visits", "balance"),
    Shape.DAY_COLUMN: ("seen", "began"),
    Shape.TWO_COLUMNS: (("visits", "balance"), ("balance", "visits")),
    Shape.CONDITION: (URGENT, nodes.Not(URGENT)),
    Shape.BOUNDS: ((0, 5), (0, 6)),
    Shape.TWO_BOUNDS: (((0, 5), (0, 5)), ((0, 5), (0, 6))),
    Shape.SHARES: (0.5, (0.5,)),
    Shape.SCALARS: ((0, 5), (0, 6)),
    Shape.WHOLE: (1, 2),
    Shape.DATE: ("2020-02-01", "2020-02-02"),
}
FOLLOWED = (nodes.Survival, nodes.Rate)
WAITS = {
    "visits": nodes.Value("days_to", to=nodes.Related("drugs")),
    "balance": nodes.Value("days_to", to=nodes.Related("visits")),
    "seen": nodes.Value("max", "day"),
    "began": nodes.Value("min", "day"),
}


def fingerprint_of(node: nodes.Statistic) -> str:
    """Return the fingerprint of a question with one statistic."""
    if not isinstance(node, FOLLOWED):
        return fingerprint.of(clinic.planned(s=node))
    return fingerprint.of(
        pathways.planned(nodes.Query(nodes.PerPerson("visits", tuple(WAITS.items())), (("s", node),)))
    )


@EACH
def test_whatever_a_question_says_is_in_its_fingerprint(statistic: Statistic[Any]) -> None:
    """Two questions that differ in one member of a statistic, or in its filter, are two questions."""
    given = {member.name: VALUES[member.shape][0] for member in statistic.members}
    node = statistic.make(given)
    fingerprints = [fingerprint_of(node)]
    for member in statistic.members:
        other = statistic.make({**given, member.name: VALUES[member.shape][1]})
        assert other != node
        fingerprints.append(fingerprint_of(other))
        if not member.required:
            fingerprints.append(fingerprint_of(statistic.make({k: v for k, v in given.items() if k != member.name})))
    if statistic.has_filter and not isinstance(node, FOLLOWED):
        fingerprints.append(fingerprint_of(replace(node, where=URGENT)))
    assert all(found != fingerprints[0] for found in fingerprints[1:])


@pytest.mark.parametrize("name", EVERY)
def test_statistic_of_persons_is_marked_as_such(name: str) -> None:
    """A statistic is of persons exactly if all of its measures count persons."""
    node = EVERY[name]
    (output,) = planned(ONE, s=node).outputs
    measured: tuple[Draft, ...] = output.measures
    assert registry.of(node).of_persons(node) == all(one.counted is Counted.PERSONS for one in measured)


@pytest.mark.parametrize("name", EVERY)
def test_influences_are_one_for_each_measure(name: str) -> None:
    """Each measure has its part of a charge, and one part is above 0."""
    node = EVERY[name]
    (output,) = planned(ONE, s=node).outputs
    squares = registry.of(node).influences(node, output.measures, 4)
    assert len(squares) == len(output.measures)
    assert min(squares) >= 0 < max(squares)
