"""A dataset: its catalog, and what is decided about its cap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowless_client.calls.catalog import Catalog, find_codes
from rowless_client.calls.records import Record, Records
from rowless_client.calls.study import HTML, given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowless_client.connection.http import Connection


class Dataset:
    """A dataset by its name."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name
        self._segments = {"name": name}

    @property
    def catalog(self) -> Catalog:
        """Return its catalog; for all but researchers also its budget and terms."""
        return Catalog(self._json("GET", "/datasets/{name}"))

    def codes(self, search: str, *, column: str | None = None, limit: int | None = None) -> Records:
        """Return codes by their names, the best first: `dataset.codes("diabetes", column="visits.diagnosis")`.

        What is searched is the catalog: values, labels, hierarchies and vocabularies, and never data.
        """
        return find_codes(self._connection, self.name, search, column, limit)

    def buy_profile(self, epsilon: float) -> Record:
        """Buy its contribution profile from its own cap, as an admin."""
        return Record(self._json("POST", "/datasets/{name}/profile", {"epsilon": epsilon}))

    def propose(
        self,
        reason: str,
        *,
        epsilon: float | None = None,
        delta: float | None = None,
        profile: float | None = None,
        laplace_percent: int | None = None,
        justification: str | None = None,
        formalities: Mapping[str, Any] | None = None,
    ) -> Record:
        """Propose another cap, what further profiles may take, or other formalities. It waits for an approver."""
        further = given(laplace_percent=laplace_percent, justification=justification, formalities=formalities)
        proposed = {**given(reason=reason, epsilon=epsilon, delta=delta, profile=profile), **further}
        return Record(self._json("POST", "/datasets/{name}/propose", proposed))

    def advise(self, opinion: str, reason: str, *, seen: str | None = None) -> Record:
        """Advise on what waits, as a DPO. `seen` is the digest of what you read."""
        advice = given(opinion=opinion, reason=reason, seen=seen)
        return Record(self._json("POST", "/datasets/{name}/advise", advice))

    def approve(self, reason: str, *, seen: str | None = None, without_advice: str | None = None) -> Record:
        """Approve what waits, as an approver. `seen` is the digest of what you read."""
        decision = given(reason=reason, seen=seen, without_advice=without_advice)
        return Record(self._json("POST", "/datasets/{name}/approve", decision))

    def shares(self) -> Record:
        """Return how its profile and its studies share its cap."""
        return Record(self._json("GET", "/datasets/{name}/shares"))

    def charges(self, *, order: str | None = None, limit: int | None = None) -> Records:
        """Return what was charged to it, oldest first, or newest first with `order="newest"`."""
        return Records(
            self._connection.pages("GET", "/datasets/{name}/charges", segments=self._segments, limit=limit, order=order)
        )

    def editions(self) -> Records:
        """Return its imports, newest first, with what they reported: exact counts, for the admin alone."""
        found = self._json("GET", "/datasets/{name}/editions")
        return Records(found["items"])

    def report(self, version: str | None = None) -> Record:
        """Return its anonymity report, with `version="public"` that to publish. Reading it is an audit entry."""
        return Record(self._json("GET", "/datasets/{name}/report", query={"version": version}))

    def methods(self) -> Record:
        """Return what was done to the data: method, parameters and quality of each release. An audit entry."""
        return Record(self._json("GET", "/datasets/{name}/report/methods"))

    def notice(self) -> Record:
        """Return what the page for the persons in it is made of. Reading it is an audit entry."""
        return Record(self._json("GET", "/datasets/{name}/notice"))

    def notice_page(self, language: str | None = None) -> str:
        """Return the page for the persons in it, to publish, in English or with `language="fr"` in French."""
        return self._connection.call(
            "GET", "/datasets/{name}/notice", segments=self._segments, accept=HTML, query={"language": language}
        ).text

    def report_page(self, language: str | None = None, version: str | None = None) -> str:
        """Return its anonymity report as a page to print, in English or with `language="fr"` in French."""
        asked = {"language": language, "version": version}
        return self._connection.call(
            "GET", "/datasets/{name}/report", segments=self._segments, accept=HTML, query=asked
        ).text

    def _json(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        return self._connection.json(method, path, body, segments=self._segments, **how)

    def __repr__(self) -> str:
        return f"<Dataset {self.name}>"
