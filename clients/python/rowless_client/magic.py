"""`%%rowless`: a cell of SQL, asked of a study.

    %load_ext rowless_client

    %%rowless pathways --epsilon 0.3 --into answer
    SELECT sex, AVG(cost) AS cost FROM consultations GROUP BY sex

The server and the token are those of ROWLESS_URL and ROWLESS_TOKEN, or the study is a variable of the notebook.
"""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from rowless_client.calls.study import Study
from rowless_client.client import Rowless
from rowless_client.errors import Misused

EVENTS = "events"


@magics_class
class RowlessMagics(Magics):
    """The magics of a notebook."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._names: dict[str, Any] = shell.user_ns
        self._studies: dict[str, Study] = {}

    @magic_arguments()
    @argument("study", help="the name of a study, or of a variable that is one")
    @argument("--epsilon", type=float, help="what the question may spend")
    @argument("--rho", type=float, help="the same in the unit of the second accountant")
    @argument("--delta", type=float, help="beside either, for a key without declared values")
    @argument(
        "--margin", action="append", default=[], metavar="NAME=N[@N|events]", help="spend what makes a margin this"
    )
    @argument("--confidence", type=float, help="of the margins, by default 0.95")
    @argument("--noise", choices=("laplace", "gaussian"), help="with --margin")
    @argument("--cells-per-person", type=int, help="a contribution bound")
    @argument("--events-per-cell", type=int, help="a contribution bound")
    @argument("--post", help="any of consistent, round, clamp, hide_below:11, with commas between")
    @argument("--require-drowned", type=float, help="refuse if a larger share of the numbers is expected to drown")
    @argument("--estimate", action="store_true", help="only what it would cost; free")
    @argument("--rehearse", action="store_true", help="an answer on made-up data; free")
    @argument("--plot", action="store_true", help="show the chart (Altair) and not the table")
    @argument("--into", metavar="NAME", help="keep what comes back in this variable")
    @cell_magic
    def rowless(self, line: str, cell: str) -> Any:
        """Ask the SQL of the cell of a study."""
        chosen = parse_argstring(self.rowless, line)
        study = self._study(chosen.study)
        ask = study.estimate if chosen.estimate else study.rehearse if chosen.rehearse else study.ask
        found: Any = ask(**_how(chosen, cell))
        if chosen.into:
            self._names[chosen.into] = found
        return found.plot() if chosen.plot and not chosen.estimate else found

    def _study(self, name: str) -> Study:
        known = self._names.get(name)
        if isinstance(known, Study):
            return known
        if name not in self._studies:
            self._studies[name] = Rowless().study(name)
        return self._studies[name]


def register(ipython: Any) -> None:
    """Give a notebook the magics."""
    ipython.register_magics(RowlessMagics)


def _how(chosen: Any, cell: str) -> dict[str, Any]:
    bounds = {"cells_per_person": chosen.cells_per_person, "events_per_cell": chosen.events_per_cell}
    bounds = {name: value for name, value in bounds.items() if value is not None}
    how = {
        "sql": cell,
        "bounds": bounds or None,
        "margin": dict(map(_target, chosen.margin)) or None,
        "post": None if chosen.post is None else chosen.post.split(","),
    }
    words = ("epsilon", "rho", "delta", "confidence", "noise", "require_drowned")
    return {**how, **{word: getattr(chosen, word) for word in words}}


def _target(text: str) -> tuple[str, Any]:
    """Return a margin as the command line spells it: patients=10, cost=40@1000, median=100events."""
    name, equals, number = text.partition("=")
    try:
        if number.endswith(EVENTS):
            return name, {EVENTS: float(number.removesuffix(EVENTS))}
        margin, at, size = number.partition("@")
        return name, {"margin": float(margin), "at": int(size)} if at else float(margin)
    except ValueError:
        equals = ""
    if not equals:
        raise Misused(f"--margin {text}: write NAME=10, NAME=40@1000 or NAME=100events")
    return name, number
