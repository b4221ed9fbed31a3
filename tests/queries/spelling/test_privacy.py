"""What a query may spend, as JSON: read again it is the same."""

from __future__ import annotations

import pytest

from queries.language import nodes
from queries.spelling.json_writing import privacy_to_json
from server.api.requests.query import parse_privacy

TARGETS = (
    ("age", nodes.Target(2.5, at=500)),
    ("median", nodes.Target(30.0, of_rank=True)),
    ("patients", nodes.Target(0.1)),
)


@pytest.mark.parametrize(
    "privacy",
    [
        nodes.Privacy(epsilon_nano=1),
        nodes.Privacy(epsilon_nano=333_333_333, delta_atto=1),
        nodes.Privacy(epsilon_nano=9_876_543_219_999, delta_atto=10**12),
        nodes.Privacy(rho_nano=100_000_001, delta_atto=123_456_789_012),
        nodes.Privacy(margins=nodes.Margins(TARGETS)),
        nodes.Privacy(margins=nodes.Margins(TARGETS[:1], confidence=0.9, gaussian=True), delta_atto=10**9),
    ],
)
def test_privacy_is_the_same_when_it_is_read_again(privacy: nodes.Privacy) -> None:
    """Not a billionth of epsilon is lost, and a margin keeps its size, its confidence and its noise."""
    assert parse_privacy(privacy_to_json(privacy)) == privacy
