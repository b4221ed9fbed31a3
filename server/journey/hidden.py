"""What a study's protocol hides of its releases: numbers of small cells, wherever a release is shown.

`queries/release/hiding.py` says which numbers these are. Everything that shows a release takes it from here: the API's
JSON, its CSV and charts, the pages, both clients, the command line, a replay with other post-processing, a rehearsal
and the certificate. Nobody gets the others, whatever their role: only the ledger has them.

**By which terms.** A release is shown by the protocol of today, not by that of its own day: a rule that came later
holds for what was released before it. A change of a protocol that nobody has approved yet lifts nothing: until then the
stricter of both holds, the changed protocol and the one that was approved last.

**The log.** Its entry has the SHA-256 of the stored release, which everybody with a certificate can see. Noisy counts
are small whole numbers, so without more a reader could try which of them give that hash. Each release is therefore
stored with a salt of 256 random bits, which is part of what is hashed and stays with the release. If the protocol hides
small cells, the entry binds also what a certificate shows then, under a salt of its own that follows from the first one
and does not give it away. A release of a version without salts has no certificate while something of it is hidden.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from budgets.audit import certificates
from budgets.errors import WrongState
from budgets.governance import studies
from queries.release import hiding, postprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from budgets.governance.study import Study
    from budgets.ledger.charges import Release

    Json = dict[str, Any]

SALT_BYTES = 32


def below(transaction: sa.Connection, study: Study) -> int | None:
    """Return the number below which cells of a study are hidden now, or None if nothing is."""
    limits = (one.get(hiding.WORD) for one in studies.standing_protocols(transaction, study))
    return max((limit for limit in limits if limit is not None), default=None)


def salted(body: Json) -> Json:
    """Return the body of a new release with a salt, so that nobody can find its numbers from its hash."""
    return {**body, postprocessing.SALT: secrets.token_hex(SALT_BYTES)}


def certified(body: Mapping[str, Any], must: int) -> Json:
    """Return what a certificate shows of a stored release where cells below `must` are hidden."""
    salt = hashlib.sha256(f"shown {body.get(postprocessing.SALT)}".encode()).hexdigest()
    return {**postprocessing.apply(body, (), must), postprocessing.SALT: salt}


def binding(body: Mapping[str, Any], must: int | None) -> Json:
    """Return the facts by which the entry of a release binds what is shown of it, if its protocol hides anything."""
    if must is None:
        return {}
    return {hiding.WORD: must, certificates.SHOWN: certificates.answer_sha256(certified(body, must))}


def to_certify(transaction: sa.Connection, stored: Release) -> Json | None:
    """Return what a certificate shows of a release, or None if that is all of it. Raises WrongState."""
    assert stored.question.study is not None, "a query belongs to a study"
    must = below(transaction, studies.study(transaction, stored.question.study))
    if must is None:
        return None
    if postprocessing.SALT not in stored.body and hiding.find(stored.body, must, forget=True).hides_anything:
        raise WrongState(
            "this release was made by a version of Rowless that stored no salt with it: from the hash in its "
            "certificate, the numbers that the study's protocol hides could be found. It has none while they are hidden"
        )
    return certified(stored.body, must)
