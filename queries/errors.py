"""Everything this package raises on purpose. The tree is closed: the server maps each leaf to one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class QueriesError(Exception):
    """Root of the tree."""


class ManifestError(QueriesError):
    """The manifest is wrong. For the admin; names its place, as in `tables.years.columns.visits.bounds`."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place
        self.message = message

    @property
    def each(self) -> tuple[ManifestError, ...]:
        """Return the errors one by one: this one, unless it stands for several."""
        return (self,)


class ManifestErrors(ManifestError):
    """Several things in the manifest are wrong, each with its place. `place` is that of the first."""

    def __init__(self, errors: Sequence[ManifestError]) -> None:
        QueriesError.__init__(self, "\n".join([f"{len(errors)} errors:", *(f"  {one}" for one in errors)]))
        self.place, self.message = errors[0].place, errors[0].message
        self._each = tuple(errors)

    @property
    def each(self) -> tuple[ManifestError, ...]:
        """Return the errors one by one."""
        return self._each


def all_of(errors: Sequence[ManifestError]) -> ManifestError:
    """Return one error that stands for all that were found, of which there is at least one."""
    every = [each for one in errors for each in one.each]
    return every[0] if len(every) == 1 else ManifestErrors(every)


class ImportFailed(QueriesError):
    """A source cannot be imported. For the admin; nothing was changed."""


class TooMuchLost(ImportFailed):
    """An import would lose more of its sources than the manifest allows. For the admin; nothing was changed."""


class InvalidQuery(QueriesError):
    """The query cannot be understood or planned. Depends on the request and public metadata only.

    `pointer` is a JSON pointer into the query document, as in `/select/visits/bounds`.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message


class OutsideProtocol(QueriesError):
    """The study's protocol does not include what is asked."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message


class WouldDrown(QueriesError):
    """More of an answer's numbers are expected to drown in their noise than the request allows. Nothing was charged."""

    def __init__(self, share: float, most: float) -> None:
        super().__init__(
            f"{share:.1%} of the numbers are expected to be smaller than their margin, and at most {most:.1%} may be; "
            "take fewer cells or a larger charge"
        )
        self.share = share


class EngineFailed(QueriesError):
    """The engine or the kernel failed after the charge. Its cause is for the admin's log only."""


class EngineUnavailable(EngineFailed):
    """The engine cannot be started as it must be. For the admin; no event was read."""
