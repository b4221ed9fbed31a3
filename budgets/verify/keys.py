"""Which key signs which size of the log: each key after the first is named by the log and signed for by the one before.

A handover is two entries. The first names the old key and the new one. The second contains a checkpoint of all entries
up to and with the first, signed by the old key. From the entry after them on, the new key alone signs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import checkpoint
from .checkpoint import BadNote, Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAMES_KEY, SIGNS_KEY = "audit.key.name", "audit.key.sign"  # the actions of the two entries


class Keys:
    """The chain of keys: the one that the DPO has, then those that the log names, each signed for by the one before."""

    def __init__(self, first: Verifier) -> None:
        self._in_force: list[tuple[int, Verifier]] = [(0, first)]  # (the size from which on it signs, key)
        self._named: tuple[int, str] | None = None

    def at(self, size: int) -> Verifier:
        """Return the key that signs the log of a size."""
        return next(key for since, key in reversed(self._in_force) if since <= size)

    @property
    def count(self) -> int:
        """Return how many keys the chain has."""
        return len(self._in_force)

    def read(self, position: int, entry: Mapping[str, Any], root_before: bytes) -> Iterator[str]:
        """Read an entry and yield what is wrong with it: the entry after one that names a key has to sign for it."""
        action, facts = entry.get("action"), entry.get("facts")
        named, self._named = self._named, None
        if action == NAMES_KEY and isinstance(facts, dict):
            self._named = (position, str(facts.get("key")))
            if facts.get("before") != self.at(position).text:
                yield "it replaces a key that was not in force"
        elif action == SIGNS_KEY and isinstance(facts, dict):
            yield from self._sign(position, named, str(facts.get("checkpoint")), root_before)
        elif named is not None:
            yield "it should contain the checkpoint by which the old key signs for the new one"

    def _sign(self, position: int, named: tuple[int, str] | None, note: str, root_before: bytes) -> Iterator[str]:
        present = self.at(position)
        if named is None:
            yield "it signs for a key that the entry before does not name"
            return
        try:
            following = Verifier.of(named[1])
            said = checkpoint.open_note(note, present)
        except BadNote as error:
            yield f"it does not hand the log over to a new key: {error}"
            return
        if (said.size, said.root) != (position, root_before):
            yield "it hands the log over by a checkpoint of something else"
        elif following.name != present.name:
            yield "it hands the log over to a key of another name"
        else:
            self._in_force.append((position + 1, following))
