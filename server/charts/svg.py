"""Elements of SVG as text. Attributes are presentation attributes: a page's policy allows no inline style.

Whatever is written goes through `element` or `text`, which escape it.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from server.charts.texts import SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

ACCENT = "#15877d"  # contrasts with white and with dark pages, at least 3 to 1 with both, also where it is a bar
INK = "currentColor"  # the page's text, light or dark
FAINT = 0.15  # opacity of lines that only guide the eye
MUTED = 0.72  # opacity of texts that say less than others
SMALL = 11.0  # size of the smallest text
FONT = "system-ui, sans-serif"
Attribute = str | float | None


def element(tag: str, *children: str, **attributes: Attribute) -> str:
    """Return an element. `children` are elements; an attribute that is None is left out, `_` in names becomes `-`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_attribute(name, value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{''.join(children)}</{tag}>" if children else f"<{tag}{written}/>"


def _attribute(name: str, value: str | float) -> str:
    if isinstance(value, str):
        return escape(value)
    return f"{value:.2f}" if name.endswith("opacity") else number(value)


def number(value: float) -> str:
    """Return a coordinate, to a tenth of a unit."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def escaped(said: str) -> str:
    """Return a text as it stands between tags."""
    return escape(said, quote=False)


def document(prefix: str, said: tuple[str, str], drawn: str, **attributes: Attribute) -> str:
    """Return a whole drawing with its title and its description, whose ids begin with `prefix`."""
    title_id, description_id = f"{prefix}-title", f"{prefix}-desc"
    return element(
        "svg",
        element("title", escaped(said[0]), id=title_id),
        element("desc", escaped(said[1]), id=description_id),
        drawn,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_labelledby=f"{title_id} {description_id}",
        font_family=FONT,
        font_size=SIZE,
        fill=INK,
        **attributes,
    )


def title(said: str) -> str:
    """Return what a browser shows where the pointer rests."""
    return f"<title>{escaped(said)}</title>"


def text(
    x: float,
    y: float,
    said: str,
    *,
    anchor: str | None = None,
    size: float = SIZE,
    muted: bool = False,
    bold: bool = False,
) -> str:
    """Return a line of text that begins at x, or ends there (`end`), or has its middle there (`middle`)."""
    return element(
        "text",
        escaped(said),
        x=x,
        y=y,
        text_anchor=anchor,
        font_size=None if size == SIZE else size,
        font_weight="600" if bold else None,
        fill_opacity=MUTED if muted else None,
    )


def path(points: Iterable[tuple[float, float]], *, closed: bool = False) -> str:
    """Return the `d` of a path through points."""
    joined = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f"M{joined}{'Z' if closed else ''}"


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Attribute) -> str:
    """Return a straight line in the colour of the text."""
    return element("path", d=f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}", stroke=INK, **attributes)
