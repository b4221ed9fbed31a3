"""The ledger's tables: one schema for SQLite and PostgreSQL. `migrations/` creates it; a test keeps both the same.

Rows of `charges`, `releases`, `profile_charges`, `profiles` and `audit_entries` are only added. The running sums of
`accounts` change in the same transaction as the rows that they sum up. The CHECK constraints are the last guard of a
budget: even a bug in the code above them cannot overspend.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from budgets.database.alert_tables import budget_alerts, bursts, deadline_alerts, deliveries
from budgets.database.metadata import metadata

__all__ = [
    "accounts",
    "advice",
    "audit_entries",
    "audit_nodes",
    "budget_alerts",
    "bursts",
    "charges",
    "conclusions",
    "datasets",
    "deadline_alerts",
    "deliveries",
    "editions",
    "failures",
    "idempotency_keys",
    "identities",
    "members",
    "metadata",
    "overruns",
    "profile_charges",
    "profile_resumes",
    "profiles",
    "proposals",
    "releases",
    "resumes",
    "studies",
    "tokens",
    "users",
]


# Names are kept apart from the audit log, so that they can be erased while the log stays whole.
identities = Table(
    "identities",
    metadata,
    Column("commitment", String(64), primary_key=True),  # SHA-256 of salt and name
    Column("salt", String(32), nullable=False),
    Column("name", String(63), nullable=False),
    Column("made_at", String(32), server_default="0", nullable=False),  # since when a user has it
    Column("named_at", String(32), server_default="0", nullable=False),  # last named by an entry, not as its actor
    Index(None, "name"),
)

users = Table(
    "users",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("commitment", String(64), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("folded", String(127), server_default="-", nullable=False),  # the name without case (`names.py`)
    Column("subject", String(64)),  # the digest of who they are at the issuer (`subjects.py`)
    Index(None, "commitment"),
    Index(None, "folded", unique=True),
    Index(None, "subject", unique=True),
    CheckConstraint("role IN ('researcher', 'admin', 'dpo', 'approver')", name="role"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False),
    Column("hash", String(64), nullable=False),  # SHA-256 of the secret part; the token itself is not kept
    Column("created_at", String(32), nullable=False),
    Column("revoked_at", String(32)),
    Column("mark", String(32)),  # how the log names it; replaced when it is old, so that it leads to no old entry
    Column("expires_at", String(32), server_default="0", nullable=False),  # "0" is before every time: fail closed
    Column("used_on", String(10)),  # the day of the last use
    Column("study", String(63)),  # the only study that it gives access to; NULL: all of its user
    Column("reads_only", Integer, server_default="0", nullable=False),
)

# Acts that wait for a second person (`grants.py`).
proposals = Table(
    "proposals",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("act", String(8), nullable=False),
    Column("user", String(63), nullable=False),  # a name: no user has it yet if one is to be added
    Column("role", String(16), nullable=False),
    Column("proposed_by", String(64), nullable=False),  # a commitment
    Column("proposed_at", String(32), nullable=False),
    Column("first_part", String(64)),  # of the token that will be made; the second part does not exist yet
    Column("days", Integer, nullable=False),
    Column("study", String(63)),
    Column("reads_only", Integer, nullable=False),
    CheckConstraint("act IN ('add', 'remove', 'token')", name="act"),
    CheckConstraint("role IN ('dpo', 'approver')", name="role"),
    UniqueConstraint("act", "user"),
)

datasets = Table(
    "datasets",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("title", Text, nullable=False),
    Column("overcommit", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
    # What an approver approved, and what waits for an approver (`dataset_terms.py`).
    Column("approved_at", String(32)),  # NULL: nothing may be charged to it yet
    Column("approved_by", String(64)),  # a commitment; NULL also if it was approved under the rules of before
    Column("profile_nano", BigInteger, server_default="0", nullable=False),  # what its profiles may take in all
    Column("wanted_epsilon_nano", BigInteger),
    Column("wanted_delta_atto", BigInteger),
    Column("wanted_profile_nano", BigInteger),  # for further profiles, beside what was taken
    Column("wanted_laplace_percent", Integer),
    Column("wanted_justification", Text),
    Column("hands", Text),  # JSON: the commitments of all who imported or proposed what waits
    Column("formalities", Text),  # JSON; NULL: none are on record, because it was approved before they were asked for
    Column("wanted_formalities", Text),  # JSON: those that wait
    # The noise that queries may have: laplace, gaussian or both. NULL: what the manifest says, because the dataset was
    # approved before its noise was one of the terms.
    Column("noise", String(8)),
    Column("wanted_noise", String(8)),
)

editions = Table(
    "editions",
    metadata,
    Column("dataset", ForeignKey("datasets.name"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("folder", String(64), nullable=False),  # within the home's folder of the dataset
    Column("imported_at", String(32), nullable=False),
    PrimaryKeyConstraint("dataset", "number"),
)

studies = Table(
    "studies",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("title", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("dataset", ForeignKey("datasets.name"), nullable=False),
    Column("protocol", Text, nullable=False),  # JSON
    Column("starts", String(10)),
    Column("ends", String(10)),
    Column("state", String(16), nullable=False),
    Column("opened_by", String(64), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("raise_epsilon_nano", BigInteger),  # a raise that waits for an approver
    Column("raise_delta_atto", BigInteger),
    Column("raise_laplace_percent", Integer),
    Column("raise_justification", Text),
    # The commitments of those who wrote or approved it, for the rule of four eyes (`approval.py`).
    Column("edited_by", Text),  # JSON: all who changed the terms or a draft's budget since it was opened
    Column("approved_by", String(64)),
    Column("raise_by", String(64)),  # who proposed the raise that waits
    Column("formalities", Text),  # JSON; NULL: none are on record
    CheckConstraint("state IN ('draft', 'approved', 'suspended', 'closed')", name="state"),
)

# The DPO's advice on what waits for an approval now (`advice.py`). A change of what it is about removes it.
advice = Table(
    "advice",
    metadata,
    Column("kind", String(8), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("opinion", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("given_by", String(64), nullable=False),  # a commitment
    Column("given_at", String(32), nullable=False),
    PrimaryKeyConstraint("kind", "owner"),
    CheckConstraint("kind IN ('study', 'raise', 'dataset', 'profile')", name="kind"),
    CheckConstraint("opinion IN ('favourable', 'conditional', 'unfavourable')", name="opinion"),
)

# The approver's conclusion of a study's report that stands (`conclusions.py`). Earlier ones are in the log alone.
conclusions = Table(
    "conclusions",
    metadata,
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("about", Text, nullable=False),  # the state of the study that was read, as canonical JSON
    Column("parties", Text),  # JSON: what was concluded for each relevant party; NULL in those of an earlier version
    Column("given_by", String(64), nullable=False),  # a commitment
    Column("given_at", String(32), nullable=False),
    PrimaryKeyConstraint("study"),
)

members = Table(
    "members",
    metadata,
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("user", ForeignKey("users.name"), nullable=False),
    PrimaryKeyConstraint("study", "user"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("kind", String(8), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("epsilon_limit_nano", BigInteger, nullable=False),
    Column("delta_limit_atto", BigInteger, nullable=False),
    Column("rho_limit_nano", BigInteger, nullable=False),  # the largest rho that converts to the limits
    Column("delta_keys_limit_atto", BigInteger, nullable=False),  # the part of delta that thresholds may spend
    Column("laplace_percent", Integer, nullable=False),  # the part of epsilon that is for Laplace noise alone
    Column("laplace_limit_nano", BigInteger, nullable=False),  # that part
    Column("gaussian_limit_nano", BigInteger, nullable=False),  # the largest rho that converts to the other part
    Column("unbounded_reserved", Integer, nullable=False),  # charges without a finite epsilon
    Column("unbounded_spent", Integer, nullable=False),
    Column("epsilon_reserved_nano", BigInteger, nullable=False),
    Column("epsilon_spent_nano", BigInteger, nullable=False),
    Column("rho_reserved_nano", BigInteger, nullable=False),
    Column("rho_spent_nano", BigInteger, nullable=False),
    Column("delta_reserved_atto", BigInteger, nullable=False),
    Column("delta_spent_atto", BigInteger, nullable=False),
    Column("gaussian_reserved_nano", BigInteger, nullable=False),  # the rho of charges without a finite epsilon
    Column("gaussian_spent_nano", BigInteger, nullable=False),
    Column("justification", Text),  # why the budget is as large as it is
    PrimaryKeyConstraint("kind", "owner"),
    CheckConstraint("kind IN ('study', 'dataset')", name="kind"),
    CheckConstraint(
        "epsilon_reserved_nano >= 0 AND epsilon_spent_nano >= 0 AND rho_reserved_nano >= 0 AND rho_spent_nano >= 0 "
        "AND delta_reserved_atto >= 0 AND delta_spent_atto >= 0 AND unbounded_reserved >= 0 AND unbounded_spent >= 0 "
        "AND gaussian_reserved_nano >= 0 AND gaussian_spent_nano >= 0",
        name="sums",
    ),
    # Each charge without a finite epsilon has a rho.
    CheckConstraint(
        "laplace_percent BETWEEN 0 AND 100 AND laplace_limit_nano <= epsilon_limit_nano "
        "AND gaussian_reserved_nano >= unbounded_reserved AND gaussian_spent_nano >= unbounded_spent",
        name="split",
    ),
    # The three filters (`accounts.py`), repeated in the database.
    CheckConstraint(
        "(unbounded_reserved + unbounded_spent = 0 AND epsilon_reserved_nano + epsilon_spent_nano <= "
        "epsilon_limit_nano) OR rho_reserved_nano + rho_spent_nano <= rho_limit_nano "
        "OR (epsilon_reserved_nano + epsilon_spent_nano <= laplace_limit_nano "
        "AND gaussian_reserved_nano + gaussian_spent_nano <= gaussian_limit_nano)",
        name="filter",
    ),
    CheckConstraint("delta_reserved_atto + delta_spent_atto <= delta_keys_limit_atto", name="delta"),
)

charges = Table(
    "charges",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("reserve_id", ForeignKey("charges.id")),  # the reserve row that a settle or void resolves
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("dataset", String(63), nullable=False),
    Column("edition", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),  # SHA-256 of the canonical request
    Column("epsilon_nano", BigInteger),  # NULL: the mechanism has no finite epsilon
    Column("rho_nano", BigInteger, nullable=False),
    Column("delta_atto", BigInteger, nullable=False),
    Column("at", String(32), nullable=False),
    CheckConstraint("kind IN ('reserve', 'settle', 'void')", name="kind"),
    CheckConstraint("(kind = 'reserve') = (reserve_id IS NULL)", name="resolves"),
    CheckConstraint("epsilon_nano > 0 AND rho_nano >= 0 AND delta_atto >= 0", name="loss"),
    UniqueConstraint("reserve_id"),  # each reserve is resolved at most once
    ForeignKeyConstraint(["dataset", "edition"], ["editions.dataset", "editions.number"]),
    Index(None, "study", "dataset", "edition", "fingerprint"),
    Index("ix_charges_last", "study", "kind", "at"),
)

# Each attempt on a charge after the first one (`attempts.py`).
resumes = Table(
    "resumes",
    metadata,
    Column("charge", ForeignKey("charges.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", String(32), nullable=False),
    PrimaryKeyConstraint("charge", "attempt"),
    CheckConstraint("attempt IN (2, 3)", name="attempt"),
)

# Each attempt that ended without an answer. The others may still be under way.
failures = Table(
    "failures",
    metadata,
    Column("charge", ForeignKey("charges.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    PrimaryKeyConstraint("charge", "attempt"),
)

releases = Table(
    "releases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("charge", ForeignKey("charges.id"), nullable=False),
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("dataset", String(63), nullable=False),
    Column("edition", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("charged_at", String(32), nullable=False),
    Column("body", Text, nullable=False),  # JSON
    UniqueConstraint("charge"),  # no second answer for one charge
    UniqueConstraint("study", "dataset", "edition", "fingerprint"),  # one question, one answer
    Index("ix_releases_page", "study", "charged_at", "id"),
)

# Contribution profiles belong to no study and are charged to a dataset's account: the same two-phase rows.
profile_charges = Table(
    "profile_charges",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("reserve_id", ForeignKey("profile_charges.id")),  # the reserve row that a settle or void resolves
    Column("dataset", String(63), nullable=False),
    Column("edition", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),  # SHA-256 of the canonical plan
    Column("epsilon_nano", BigInteger),  # NULL: Gaussian noise, which a restored ledger forgot (`respending.py`)
    Column("rho_nano", BigInteger, nullable=False),
    Column("delta_atto", BigInteger, nullable=False),
    Column("at", String(32), nullable=False),
    CheckConstraint("kind IN ('reserve', 'settle', 'void')", name="kind"),
    CheckConstraint("(kind = 'reserve') = (reserve_id IS NULL)", name="resolves"),
    CheckConstraint("epsilon_nano > 0 AND rho_nano >= 0 AND delta_atto >= 0", name="loss"),
    UniqueConstraint("reserve_id"),  # each reserve is resolved at most once
    ForeignKeyConstraint(["dataset", "edition"], ["editions.dataset", "editions.number"]),
    Index(None, "dataset", "edition", "fingerprint"),
)

profile_resumes = Table(
    "profile_resumes",
    metadata,
    Column("charge", ForeignKey("profile_charges.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", String(32), nullable=False),
    PrimaryKeyConstraint("charge", "attempt"),
    CheckConstraint("attempt IN (2, 3)", name="attempt"),
)

# How many scans ended after their first slot, by whole days: only for the admin.
overruns = Table(
    "overruns",
    metadata,
    Column("day", String(10), nullable=False),
    Column("dataset", ForeignKey("datasets.name"), nullable=False),
    Column("scans", Integer, nullable=False),
    PrimaryKeyConstraint("day", "dataset"),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("charge", ForeignKey("profile_charges.id"), nullable=False),
    Column("dataset", String(63), nullable=False),
    Column("edition", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("charged_at", String(32), nullable=False),
    Column("body", Text, nullable=False),  # JSON
    UniqueConstraint("charge"),  # no second profile for one charge
    UniqueConstraint("dataset", "edition", "fingerprint"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("key", String(255), nullable=False),
    Column("dataset", String(63), nullable=False),
    Column("edition", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    PrimaryKeyConstraint("study", "key"),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("leaf_hash", String(64), nullable=False),
    Column("body", Text, nullable=False),  # canonical JSON: these bytes are what was hashed
    # The same facts as in the body, to find entries by. Each index has the position, for reading pages in order.
    Column("at", String(32), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(63), nullable=False),
    Column("study", String(63)),
    Index(None, "at", "position"),
    Index(None, "actor", "position"),
    Index(None, "action", "position"),
    Index(None, "study", "position"),
)

# The hashes of the log's complete subtrees (`merkle.py`). Each is written with the entry that completes it.
audit_nodes = Table(
    "audit_nodes",
    metadata,
    Column("level", Integer, nullable=False),
    Column("index", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    PrimaryKeyConstraint("level", "index"),
    CheckConstraint("level > 0", name="level"),  # the hashes of the leaves are in `audit_entries`
)
