"""Python warnings about numbers that must not be read as they stand. `warnings.filterwarnings` treats each kind."""

from __future__ import annotations


class Caution(UserWarning):
    """Something that a reader of an answer must know."""


class Drowned(Caution):
    """Numbers whose margin is more than half of them: they are mostly noise."""


class TruncationUnknown(Caution):
    """Contribution bounds cut off an unknown part of the data, which is in no margin."""
