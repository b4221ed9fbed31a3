"""What a statistic is: one object that knows all that differs between it and other statistics.

A statistic of the language is a node (`queries/language/nodes.py`: what was asked) and an object of a subclass of
`Statistic`, which has no state. Whoever needs something of a statistic asks its object (`registry.py`); there is no
other place that lists them all. The object is made when the registry is loaded: Python refuses to make one that
lacks a method.

`exactness.py` has the three kinds of margin. A statistic is a subclass of one of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from queries.language import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray
    from sqlglot import exp

    from queries.binding.bound import BoundStatistic, Operand
    from queries.binding.scope import Scope
    from queries.plan import Draft, Output
    from queries.statistics.parts.lists import Listed
    from queries.statistics.parts.members import Member

    Vectors = Sequence[NDArray[np.int64]]  # the noisy numbers of each measure, over all cells
    Result = dict[str, object]

N = TypeVar("N", bound=nodes.Statistic)

TENTH = 10  # advice calls a margin under a tenth of a value good


@dataclass(frozen=True)
class Group:
    """A group that is large enough for a margin under a tenth of a statistic's yardstick (`yardsticks.py`)."""

    persons: float
    events: float


class Statistic(ABC, Generic[N]):
    """All that is particular about one statistic."""

    @property
    @abstractmethod
    def node(self) -> type[N]:
        """Return the type of its nodes."""

    @property
    def word(self) -> str:
        """Return its name in queries and protocols."""
        return self.node.__name__.lower()

    def asked(self, output: Output) -> N:
        """Return the node of a planned output."""
        node = output.statistic
        assert isinstance(node, self.node)
        return node

    def of_persons(self, node: N) -> bool:  # noqa: ARG002
        """Return whether it counts persons, however many events each of them has."""
        return False

    # How it is spelled

    @property
    @abstractmethod
    def members(self) -> tuple[Member, ...]:
        """Return its members in JSON, beside `where`; the first is what it is about, and is named by its word.

        Its reader, its writer and the OpenAPI document follow from them.
        """

    @property
    def has_filter(self) -> bool:
        """Return whether it may have a `where` of its own."""
        return issubclass(self.node, nodes.Filtered)

    def make(self, given: Mapping[str, Any]) -> N:
        """Return the node with these members. Each is of its member's shape."""
        fields = {member.field: given[member.name] for member in self.members if member.name in given}
        return cast("Callable[..., N]", self.node)(**fields)

    def given(self, node: N) -> dict[str, object]:
        """Return the members that say what a node does; None where one is not given."""
        return {member.name: getattr(node, member.field) for member in self.members}

    @property
    @abstractmethod
    def sql_names(self) -> tuple[str, ...]:
        """Return the names of its functions in SQL, as refusals list them."""

    @abstractmethod
    def is_written(self, body: exp.Expr) -> bool:
        """Return whether an expression of SQL, without its FILTER, is meant as this statistic."""

    @abstractmethod
    def read_sql(self, body: exp.Expr) -> tuple[N, str]:
        """Return the node that such an expression is, and its name in the answer without an alias.

        Raises InvalidQuery with line and column.
        """

    @abstractmethod
    def write_sql(self, node: N) -> exp.Expr:
        """Return a node as SQL, without its FILTER."""

    # What is asked

    def place(self, name: str) -> str:
        """Return the JSON pointer to what the statistic of this name in the answer is about."""
        return f"/query/select/{name}/{self.word}"

    def operand(self, name: str, column: str, bounds: tuple[float, float] | None, scope: Scope) -> Operand:
        """Return the one column that it is about, clamped. Raises InvalidQuery with the place."""
        return scope.clamped(column, bounds, self.word, self.place(name), f"/query/select/{name}/bounds")

    @abstractmethod
    def bind(self, name: str, node: N, scope: Scope) -> BoundStatistic:
        """Return the node with its columns and literals resolved, but for its filter.

        Raises InvalidQuery with the place.
        """

    @abstractmethod
    def parameters(self, node: N) -> dict[str, object]:
        """Return what distinguishes two questions and is in none of their measures. It goes into the fingerprint."""

    # What is measured

    @abstractmethod
    def drafts(self, bound: BoundStatistic, node: N, events: int) -> tuple[Draft, ...]:
        """Return its measures, composed of the functions in `drafts.py`, but for its filter.

        At most `events` of a person count in a cell.
        """

    # How the charge is shared

    @abstractmethod
    def influences(self, node: N, measured: Sequence[Draft], events: int) -> list[Fraction]:
        """Return the square of how far a noise of 1 on each measure moves the result, over yardstick and persons.

        `yardsticks.py` has the reference group; `events` of a person count in each cell at most.
        """

    # From noisy numbers to results

    @property
    @abstractmethod
    def listed(self) -> Listed | None:
        """Return how its results are laid out where they are lists; None where each is one number."""

    @property
    @abstractmethod
    def size_members(self) -> tuple[str, ...]:
        """Return which noisy numbers of a result tell how many it is of: `value` itself, or members of its `raw`.

        Nothing where a result shows none: only a count beside it tells whether its cell is small.
        """

    @abstractmethod
    def values(self, output: Output, vectors: Vectors, confidence: float) -> Sequence[Result]:
        """Return its result for each cell: the value over the bounded data lies from `low` to `high`."""

    def noise(self, output: Output) -> Result:  # noqa: ARG002
        """Return what its results can be recomputed from, beside their `raw` numbers. Nothing where nobody does.

        `scales` has the noise of each number in `raw`; `unit` is the step of a numerator. `middle` and `limits` are the
        middle and the ends of what a ratio can be.
        """
        return {}

    @abstractmethod
    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:
        """Return the least and the greatest that its values can be, and the step of which they are multiples."""

    @abstractmethod
    def is_view_of_total(self, output: Output) -> bool:
        """Return whether its numbers in a cell add up to all persons, or all events, that count there."""

    # How exact it will be: `exactness.py`

    @abstractmethod
    def foretold(self, output: Output, confidence: float) -> Result:
        """Return its margin for an answer's column, as far as it is known before any data are touched."""

    @abstractmethod
    def require_fitting(self, node: N, target: nodes.Target, pointer: str) -> None:
        """Raise InvalidQuery, with the place, for a margin of a kind that it cannot have."""

    @abstractmethod
    def meets(self, output: Output, target: nodes.Target, confidence: float) -> bool:
        """Return whether it has the margin that was asked for."""

    @abstractmethod
    def margin_in_words(self, output: Output, confidence: float, group: int) -> str:
        """Return its margin in words, over a group of that size where it depends on the size."""

    # What advice reports about it

    @abstractmethod
    def group_needed(self, output: Output, group: Group, confidence: float) -> str:
        """Return a sentence on how large a group must be for it to be exact."""

    @abstractmethod
    def about_range(self, output: Output) -> str | None:
        """Return how the range of the values drives its noise, as the end of a sentence; None where it does not."""
