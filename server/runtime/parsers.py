"""How the text of each kind of setting is read. Each function raises ValueError, with what the text must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.sign_in import fetching, throttle

OFF = "off"
MEMORY = re.compile(r"[1-9][0-9]*(\.[0-9]+)? ?([KMGT]i?)?B", re.IGNORECASE)


@dataclass(frozen=True)
class Setting:
    """One setting: its name in the environment, its default, and what it does."""

    name: str
    default: str
    help: str
    parse: Callable[[str], Any]
    secret: bool = False


def filled(text: str) -> str:
    """Return a text that is not empty."""
    if not text:
        raise ValueError("must not be empty")
    return text


def path(text: str) -> Path:
    """Return an absolute path."""
    return Path(filled(text)).expanduser().absolute()


def memory(text: str) -> str:
    """Return a size as DuckDB reads it."""
    if not MEMORY.fullmatch(text):
        raise ValueError("must be a size, for example 512MB or 4GB")
    return text


def optional(text: str) -> str | None:
    """Return a text, or None if it is `off`."""
    return None if filled(text) == OFF else text


def rate(text: str) -> str:
    """Return a rate, such as 600/minute."""
    throttle.parse_rate(text)
    return text


def address(text: str) -> str | None:
    """Return an http or https address without a slash at its end, or None if it is `off`."""
    return None if filled(text) == OFF else fetching.require_address(text).rstrip("/")


def issuer(text: str) -> str | None:
    """Return the address of an issuer as it stands, or None if it is `off`."""
    return None if filled(text) == OFF else fetching.require_address(text)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return the parser of a whole number within bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def port_or_off(text: str) -> int | None:
    """Return a port, or None if it is `off`."""
    try:
        return None if text == OFF else whole(1, 65535)(text)
    except ValueError as error:
        raise ValueError(f"{error}, or {OFF}") from None


def one_of(*words: str) -> Callable[[str], str]:
    """Return the parser of one of some words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be {' or '.join(words)}")
        return text

    return parse


def spark_memory(text: str) -> str:
    """Return a size as Spark reads it."""
    if not re.fullmatch(r"[1-9][0-9]*[mg]", text):
        raise ValueError("must be a size as Spark writes it, for example 512m or 4g")
    return text


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Return pairs of names and values, or none if the text is `off`."""
    found = [pair.partition("=") for pair in ([] if text == OFF else filled(text).split())]
    if any(not name or not value for name, _, value in found):
        raise ValueError("must be name=value, separated by blanks")
    return tuple((name, value) for name, _, value in found)
