"""UTF-16 as programs write it: with a byte order mark, or without one in either order."""

from __future__ import annotations

import codecs

from queries.errors import ImportFailed

OWN_ENCODING = "write the encoding that it has: utf-8, cp1252, latin-1 or utf-16"


def codec(first: bytes, called: str) -> str:
    """Return the codec for the first bytes of a file: by their mark, or without one by the zero byte of a character.

    Raises ImportFailed if it is no UTF-16.
    """
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if 0 not in first[:2]:
        raise ImportFailed(f"{called} does not begin as UTF-16 does; {OWN_ENCODING}")
    return "utf-16-le" if first[0] else "utf-16-be"
