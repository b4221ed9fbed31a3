"""The settings. Only this module reads the environment.

Each setting has a name, a default and a line of help. `rowless serve --help` and docs/operations.md list them, and a
test fails if one is missing there. A secret can also come from a file: then NAME_FILE has the file's path.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from budgets.identity import commitments
from server import webhook
from server.admission.gates import Gates
from server.errors import SettingsError
from server.runtime import logs, parsers
from server.runtime.parsers import OFF, Setting
from server.sign_in.issuer import Issuer

DUCKDB, SPARK = "duckdb", "spark"  # the engines
TOKEN_RATE, ADDRESS_RATE = "600/minute", "6000/minute"


NO_REGIME, EHDS, EHDS_DAYS = "none", "ehds", 365  # Regulation (EU) 2025/327, article 73: logs of access for a year

SETTINGS = {
    "home": Setting(
        "ROWLESS_HOME", "./rowless-home", "the folder of the stores, the ledger and the signing key", parsers.path
    ),
    "database_url": Setting(
        "ROWLESS_DATABASE_URL", "sqlite:///HOME/ledger.sqlite", "the ledger's database", parsers.filled, secret=True
    ),
    "audit_key_file": Setting(
        "ROWLESS_AUDIT_KEY_FILE",
        "HOME/audit.key",
        "the file of the key that signs the audit log; its mode must be 600",
        parsers.path,
    ),
    "host": Setting("ROWLESS_HOST", "127.0.0.1", "the address to listen on", parsers.filled),
    "port": Setting("ROWLESS_PORT", "8000", "the port to listen on", parsers.whole(1, 65535)),
    "queries": Setting("ROWLESS_QUERIES", "3", "how many queries are answered at once", parsers.whole(1, 256)),
    "share": Setting(
        "ROWLESS_SHARE",
        "2",
        "how many queries of one user, and how many of one study, are answered at once",
        parsers.whole(1, 256),
    ),
    "waiting": Setting(
        "ROWLESS_WAITING",
        "8",
        "how many more requests of one kind may wait, of one user and of one study; eight times as many in all",
        parsers.whole(1, 256),
    ),
    "threads": Setting(
        "ROWLESS_THREADS",
        "8",
        "how many requests beside queries, estimates and rehearsals are served at once",
        parsers.whole(1, 256),
    ),
    "memory_limit": Setting(
        "ROWLESS_MEMORY_LIMIT", "2GB", "how much memory the engine may use, for queries and for imports", parsers.memory
    ),
    "query_seconds": Setting(
        "ROWLESS_QUERY_SECONDS", "300", "the most seconds that a scan may take", parsers.whole(1, 86_400)
    ),
    "slot_ms": Setting(
        "ROWLESS_SLOT_MS",
        "250",
        "answers leave at multiples of this many milliseconds, so that their timing reveals little; 0 turns this off",
        parsers.whole(0, 60_000),
    ),
    "identity_days": Setting(
        "ROWLESS_IDENTITY_DAYS",
        str(commitments.DAYS),
        "after how many days without an entry of a user the DPO may erase their name",
        parsers.whole(commitments.DAYS_MIN, commitments.DAYS_MAX),
    ),
    "max_cells": Setting(
        "ROWLESS_MAX_CELLS", "1000000", "the most cells that one query may have", parsers.whole(1, 2**31 - 1)
    ),
    "regime": Setting(
        "ROWLESS_REGIME",
        NO_REGIME,
        f"which law's least span for names holds: {EHDS}, at least {EHDS_DAYS} days, or {NO_REGIME}, six months",
        parsers.one_of(NO_REGIME, EHDS),
    ),
    "log_format": Setting(
        "ROWLESS_LOG_FORMAT",
        logs.CONSOLE,
        "how the server writes its log: console, in columns for people, or json, for machines",
        parsers.one_of(logs.CONSOLE, logs.JSON),
    ),
    "metrics_port": Setting(
        "ROWLESS_METRICS_PORT", OFF, "the port on which Prometheus reads the metrics; off: none", parsers.port_or_off
    ),
    "metrics_host": Setting(
        "ROWLESS_METRICS_HOST", "127.0.0.1", "the address on which the metrics are read", parsers.filled
    ),
    "token_rate": Setting(
        "ROWLESS_TOKEN_RATE", TOKEN_RATE, "how many requests one token may send; off: any number", parsers.rate
    ),
    "address_rate": Setting(
        "ROWLESS_ADDRESS_RATE", ADDRESS_RATE, "how many requests one address may send; off: any number", parsers.rate
    ),
    "url": Setting(
        "ROWLESS_URL", OFF, "the server that commands call over HTTP, instead of working on the home", parsers.address
    ),
    "token": Setting(
        "ROWLESS_TOKEN", OFF, "the token with which commands call that server", parsers.optional, secret=True
    ),
    "public_url": Setting(
        "ROWLESS_PUBLIC_URL",
        OFF,
        "the address at which browsers reach the server, behind a TLS proxy: an https URL",
        parsers.address,
    ),
    "client_folder": Setting(
        "ROWLESS_CLIENT_FOLDER", "~/.config", "the folder in which `rowless login` keeps its token", parsers.path
    ),
    "oidc_issuer": Setting(
        "ROWLESS_OIDC_ISSUER",
        OFF,
        "the OpenID Connect issuer whose access tokens are taken, as it writes itself: an https URL",
        parsers.issuer,
    ),
    "oidc_audience": Setting(
        "ROWLESS_OIDC_AUDIENCE", OFF, "the audience that its access tokens must have: this server", parsers.optional
    ),
    "oidc_name_claim": Setting(
        "ROWLESS_OIDC_NAME_CLAIM",
        "preferred_username",
        "the claim that new researchers get their name from",
        parsers.filled,
    ),
    "oidc_role_claim": Setting(
        "ROWLESS_OIDC_ROLE_CLAIM", "roles", "the claim that lists roles; dots lead into objects", parsers.filled
    ),
    "oidc_researcher": Setting(
        "ROWLESS_OIDC_RESEARCHER",
        OFF,
        "the role in that claim that researchers need, and that makes new users researchers",
        parsers.optional,
    ),
    "oidc_client": Setting(
        "ROWLESS_OIDC_CLIENT",
        OFF,
        "the public client at the issuer by which `rowless login` signs in",
        parsers.optional,
    ),
    "oidc_scope": Setting(
        "ROWLESS_OIDC_SCOPE",
        "openid profile",
        "the scope that `rowless login` and the pages ask the issuer for",
        parsers.filled,
    ),
    "oidc_pages_client": Setting(
        "ROWLESS_OIDC_PAGES_CLIENT",
        OFF,
        "the client at the issuer by which browsers sign in to the pages",
        parsers.optional,
    ),
    "oidc_pages_secret": Setting(
        "ROWLESS_OIDC_PAGES_SECRET", OFF, "the secret of that client, if it has one", parsers.optional, secret=True
    ),
    "webhook_url": Setting(
        "ROWLESS_WEBHOOK_URL",
        webhook.OFF,
        "the http or https URL that alerts are sent to",
        webhook.parse_url,
        secret=True,
    ),
    "webhook_secret": Setting(
        "ROWLESS_WEBHOOK_SECRET",
        webhook.OFF,
        "the key that signs alerts: whsec_ and the base64 of 24 to 64 random bytes",
        webhook.parse_secret,
        secret=True,
    ),
    "engine": Setting(
        "ROWLESS_ENGINE",
        DUCKDB,
        "where queries and imports run: duckdb, on this machine, or spark, on a cluster",
        parsers.one_of(DUCKDB, SPARK),
    ),
    "spark_master": Setting(
        "ROWLESS_SPARK_MASTER",
        "local[*]",
        "the master of the Spark cluster, for example spark://host:7077",
        parsers.filled,
    ),
    "spark_secret": Setting(
        "ROWLESS_SPARK_SECRET",
        OFF,
        "the secret that this server and the executors of a cluster share",
        parsers.optional,
        secret=True,
    ),
    "spark_driver_memory": Setting(
        "ROWLESS_SPARK_DRIVER_MEMORY", "1g", "the memory of Spark's own part of this server", parsers.spark_memory
    ),
    "spark_executor_memory": Setting(
        "ROWLESS_SPARK_EXECUTOR_MEMORY", "2g", "the memory of Java in each executor", parsers.spark_memory
    ),
    "spark_executor_cores": Setting(
        "ROWLESS_SPARK_EXECUTOR_CORES", "1", "how many tasks each executor runs at once", parsers.whole(1, 1024)
    ),
    "spark_task_memory": Setting(
        "ROWLESS_SPARK_TASK_MEMORY", "1GB", "how much memory DuckDB may use in each task", parsers.memory
    ),
    "spark_persons_per_part": Setting(
        "ROWLESS_SPARK_PERSONS_PER_PART",
        "500000",
        "how many of `persons_max` an import on Spark puts into one part",
        parsers.whole(1, 2**31 - 1),
    ),
    "spark_parts": Setting(
        "ROWLESS_SPARK_PARTS",
        OFF,
        "the folder or URL where executors find parts, if it is not the home",
        parsers.optional,
    ),
    "spark_python": Setting(
        "ROWLESS_SPARK_PYTHON",
        OFF,
        "the Python of the executors; off: python3, or this Python on this machine",
        parsers.optional,
    ),
    "spark_archives": Setting(
        "ROWLESS_SPARK_ARCHIVES",
        OFF,
        "archives that are unpacked beside each executor, for example an environment",
        parsers.optional,
    ),
    "spark_py_files": Setting(
        "ROWLESS_SPARK_PY_FILES", OFF, "wheels or zip files that the executors' Python imports", parsers.optional
    ),
    "spark_settings": Setting(
        "ROWLESS_SPARK_SETTINGS",
        OFF,
        "further settings of Spark: name=value, separated by blanks",
        parsers.pairs,
    ),
}


@dataclass(frozen=True)
class Settings:
    """The settings in force."""

    home: Path
    database_url: str
    audit_key_file: Path
    host: str
    port: int
    queries: int
    share: int
    waiting: int
    threads: int
    memory_limit: str
    query_seconds: int
    slot_ms: int
    identity_days: int
    max_cells: int
    regime: str = NO_REGIME
    log_format: str = logs.CONSOLE
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    token_rate: str = TOKEN_RATE
    address_rate: str = ADDRESS_RATE
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    public_url: str | None = None
    client_folder: Path = field(default_factory=lambda: Path("~/.config").expanduser().absolute())
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    oidc_name_claim: str = "preferred_username"
    oidc_role_claim: str = "roles"
    oidc_researcher: str | None = None
    oidc_client: str | None = None
    oidc_scope: str = "openid profile"
    oidc_pages_client: str | None = None
    oidc_pages_secret: str | None = field(default=None, repr=False)
    webhook_url: webhook.Address | None = field(default=None, repr=False)
    webhook_secret: bytes | None = field(default=None, repr=False)
    engine: str = DUCKDB
    spark_master: str = "local[*]"
    spark_secret: str | None = field(default=None, repr=False)
    spark_driver_memory: str = "1g"
    spark_executor_memory: str = "2g"
    spark_executor_cores: int = 1
    spark_task_memory: str = "1GB"
    spark_persons_per_part: int = 500_000
    spark_parts: str | None = None
    spark_python: str | None = None
    spark_archives: str | None = None
    spark_py_files: str | None = None
    spark_settings: tuple[tuple[str, str], ...] = ()

    @property
    def gates(self) -> Gates:
        """Return new gates with these settings' limits."""
        return Gates.with_limits(
            queries=self.queries,
            share=self.share,
            waiting=self.waiting,
            threads=self.threads,
            slot_ms=self.slot_ms,
        )

    @property
    def key_path(self) -> Path:
        """Return the file of the key that signs the audit log's checkpoints."""
        return self.audit_key_file

    def issuer(self) -> Issuer | None:
        """Return the issuer whose tokens are taken, with no key of it yet."""
        if self.oidc_issuer is None or self.oidc_audience is None:
            return None
        return Issuer(
            self.oidc_issuer,
            self.oidc_audience,
            self.oidc_client,
            self.oidc_scope,
            self.oidc_name_claim,
            self.oidc_role_claim,
            self.oidc_researcher,
        )


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in an environment (by default the process's). Raises SettingsError."""
    present = os.environ if environment is None else environment
    values = {field: _value(setting, present) for field, setting in SETTINGS.items()}
    if values["database_url"] == SETTINGS["database_url"].default:
        values["database_url"] = f"sqlite:///{values['home'] / 'ledger.sqlite'}"
    if SETTINGS["audit_key_file"].name not in present:
        values["audit_key_file"] = values["home"] / "audit.key"
    if values["regime"] == EHDS and values["identity_days"] < EHDS_DAYS:
        names = [SETTINGS["identity_days"].name, SETTINGS["regime"].name]
        raise SettingsError(f"{names[0]}: must be at least {EHDS_DAYS}, because {names[1]} is {EHDS}")
    if (values["webhook_url"] is None) != (values["webhook_secret"] is None):
        missing, given = ("url", "secret") if values["webhook_url"] is None else ("secret", "url")
        names = [SETTINGS[f"webhook_{one}"].name for one in (missing, given)]
        raise SettingsError(f"{names[0]}: must be set because {names[1]} is set; unsigned alerts are never sent")
    if (values["oidc_issuer"] is None) != (values["oidc_audience"] is None):
        names = [SETTINGS[f"oidc_{one}"].name for one in ("issuer", "audience")]
        raise SettingsError(f"{' and '.join(names)}: set both, because a token for another audience is refused")
    return Settings(**values)


def _value(setting: Setting, environment: Mapping[str, str]) -> Any:
    text = environment.get(setting.name)
    file = environment.get(f"{setting.name}_FILE") if setting.secret else None
    if text is not None and file is not None:
        raise SettingsError(f"{setting.name} and {setting.name}_FILE are both set; keep one")
    if file is not None:
        try:
            text = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{setting.name}_FILE: {file} cannot be read: {error.strerror}") from error
        except UnicodeError as error:
            raise SettingsError(f"{setting.name}_FILE: {file} is not UTF-8 text") from error
    try:
        return setting.parse(setting.default if text is None else text)
    except (ValueError, RuntimeError) as error:  # RuntimeError: the path has a ~user that this machine does not know
        shown = "" if setting.secret else f" (it is {text!r})"
        raise SettingsError(f"{setting.name}: {error}{shown}") from None
