"""A chart as its readers get it: read with a parser, its texts as boxes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from server.charts import texts

if TYPE_CHECKING:
    from collections.abc import Iterator

SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "title", "desc", "defs", "pattern", "g", "path", "rect", "circle", "text"}
PATTERN = re.compile(r"url\(#([^)]*)\)")
ISOLATES = str.maketrans("", "", "\u2068\u2069")


@dataclass(frozen=True)
class Box:
    """Where a line of text is, at most."""

    said: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Return whether two boxes have room in common."""
        return (
            self.left < other.right - 0.2
            and other.left < self.right - 0.2
            and self.top < other.bottom - 0.2
            and other.top < self.bottom - 0.2
        )


def read(svg: str) -> ET.Element:
    """Return a chart's root, and check what holds for every chart."""
    root = ET.fromstring(svg)
    every = list(root.iter())
    assert {element.tag.removeprefix(SVG) for element in every} <= ELEMENTS
    assert not [name for element in every for name in element.attrib if name == "style" or name.startswith("on")]
    assert not [name for element in every for name in element.attrib if "href" in name or "src" in name]
    ids = [element.get("id") for element in every if element.get("id")]
    assert len(ids) == len(set(ids))
    assert root.get("role") == "img"
    title, description = (root.get("aria-labelledby") or "").split()
    by_id = {element.get("id"): element for element in every}
    assert (by_id[title].tag, by_id[description].tag) == (f"{SVG}title", f"{SVG}desc")
    assert by_id[title].text
    assert by_id[description].text
    used = {name for element in every for value in element.attrib.values() for name in PATTERN.findall(value)}
    assert used <= set(ids)
    return root


def tips(root: ET.Element) -> list[str]:
    """Return what is shown where the pointer rests: a line for each number."""
    titles = [element.text or "" for element in root.iter(f"{SVG}title") if not element.get("id")]
    return [line.translate(ISOLATES) for title in titles for line in title.split("\n")]


def words_of(root: ET.Element) -> list[str]:
    """Return the texts that are drawn."""
    return [(element.text or "").translate(ISOLATES) for element in root.iter(f"{SVG}text")]


def description(root: ET.Element) -> str:
    """Return the description."""
    (found,) = root.iter(f"{SVG}desc")
    return (found.text or "").translate(ISOLATES)


def boxes(root: ET.Element) -> list[Box]:
    """Return the boxes of all texts."""
    return list(_boxes(root, 0.0, 0.0, float(root.get("font-size", "12"))))


def _boxes(element: ET.Element, x: float, y: float, size: float) -> Iterator[Box]:
    moved = re.fullmatch(r"translate\((\S+) (\S+)\)", element.get("transform", "translate(0 0)"))
    assert moved is not None
    x, y = x + float(moved[1]), y + float(moved[2])
    if element.tag == f"{SVG}text":
        yield _box(element, x, y, float(element.get("font-size", size)))
    for child in element:
        yield from _boxes(child, x, y, size)


def _box(element: ET.Element, x: float, y: float, size: float) -> Box:
    said = element.text or ""
    wide = texts.width(said, size)
    at: Any = {"middle": 0.5, "end": 1.0}.get(element.get("text-anchor", "start"), 0.0)
    left = x + float(element.get("x", "0")) - wide * at
    base = y + float(element.get("y", "0"))
    return Box(said, left, base - 0.75 * size, left + wide, base + 0.2 * size)


def assert_apart(root: ET.Element) -> None:
    """Check that no two texts overlap, and that all are within the drawing."""
    found = sorted(boxes(root), key=lambda box: box.top)
    _, _, width, height = map(float, root.get("viewBox", "").split())
    for place, box in enumerate(found):
        assert box.left > -0.6, box
        assert box.right < width + 0.6, box
        assert box.top > 0, box
        assert box.bottom < height + 0.1, box
        for other in found[place + 1 :]:
            if other.top >= box.bottom:
                break
            assert not box.meets(other), (box, other)
