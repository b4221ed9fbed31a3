from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from server.cli.main import main
from server.errors import SettingsError
from server.runtime.settings import SETTINGS, Settings, load_settings
from server.webhook import Address
from tests import processes
from tests.serving import ROOT, environment

SECRET = "whsec_" + "A" * 32  # 24 bytes of 0

# What the contract promises: names and defaults.
DEFAULTS = {
    "ROWLESS_HOME": "./rowless-home",
    "ROWLESS_DATABASE_URL": "sqlite:///HOME/ledger.sqlite",
    "ROWLESS_HOST": "127.0.0.1",
    "ROWLESS_PORT": "8000",
    "ROWLESS_PUBLIC_URL": "off",
    "ROWLESS_QUERIES": "3",
    "ROWLESS_SHARE": "2",
    "ROWLESS_WAITING": "8",
    "ROWLESS_THREADS": "8",
    "ROWLESS_MEMORY_LIMIT": "2GB",
    "ROWLESS_QUERY_SECONDS": "300",
    "ROWLESS_SLOT_MS": "250",
    "ROWLESS_IDENTITY_DAYS": "365",
    "ROWLESS_REGIME": "none",
    "ROWLESS_MAX_CELLS": "1000000",
}


def test_the_settings_are_those_of_the_contract() -> None:
    """Every setting of the contract is there, and each that is there has a default, a help and a field."""
    assert DEFAULTS.keys() <= {setting.name for setting in SETTINGS.values()}
    assert list(SETTINGS) == [field.name for field in fields(Settings)]
    for setting in SETTINGS.values():
        assert setting.name.startswith("ROWLESS_")
        assert len(setting.help) > 10
        assert DEFAULTS.get(setting.name, setting.default) == setting.default


def test_every_setting_is_in_the_help_of_serve() -> None:
    """`rowless serve --help` names every setting with its help and default."""
    shown = " ".join(CliRunner().invoke(main, ["serve", "--help"]).output.split())
    for setting in SETTINGS.values():
        assert setting.name in shown
        assert " ".join(setting.help.split()) in shown
        assert f"[{setting.default}]" in shown


def test_every_setting_is_documented() -> None:
    """docs/operations.md names every setting with its default, and no setting that there is not."""
    text = (ROOT / "docs" / "operations.md").read_text()
    for setting in SETTINGS.values():
        lines = [line for line in text.splitlines() if re.search(rf"\b{setting.name}\b", line)]
        assert any(setting.default in line for line in lines), setting.name
    known = {setting.name for setting in SETTINGS.values()}
    named = set(re.findall(r"ROWLESS_[A-Z_]+[A-Z]", text))
    assert named <= known | {f"{setting.name}_FILE" for setting in SETTINGS.values() if setting.secret}


def test_settings_have_their_defaults_without_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without any variable the defaults hold, and the ledger lies in the home."""
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "rowless-home"
    ledger = f"sqlite:///{home}/ledger.sqlite"
    assert load_settings({}) == Settings(
        home,
        ledger,
        home / "audit.key",
        "127.0.0.1",
        8000,
        3,
        2,
        8,
        8,
        "2GB",
        300,
        250,
        identity_days=365,
        max_cells=1_000_000,
    )


def test_settings_are_read_from_the_environment(tmp_path: Path) -> None:
    """Each variable sets its field."""
    given = {
        "ROWLESS_HOME": str(tmp_path),
        "ROWLESS_DATABASE_URL": "postgresql+psycopg://u:p@h/d",
        "ROWLESS_AUDIT_KEY_FILE": str(tmp_path / "elsewhere"),
        "ROWLESS_HOST": "0.0.0.0",
        "ROWLESS_PORT": "65535",
        "ROWLESS_PUBLIC_URL": "https://rowless.example.org",
        "ROWLESS_QUERIES": "5",
        "ROWLESS_SHARE": "4",
        "ROWLESS_WAITING": "3",
        "ROWLESS_THREADS": "1",
        "ROWLESS_MEMORY_LIMIT": "1.5 GiB",
        "ROWLESS_QUERY_SECONDS": "7",
        "ROWLESS_SLOT_MS": "0",
        "ROWLESS_IDENTITY_DAYS": "400",
        "ROWLESS_REGIME": "ehds",
        "ROWLESS_MAX_CELLS": "5",
        "ROWLESS_LOG_FORMAT": "json",
        "ROWLESS_METRICS_PORT": "9464",
        "ROWLESS_METRICS_HOST": "0.0.0.0",
        "ROWLESS_WEBHOOK_URL": "https://alerts.example.org:8443/in?token=x",
        "ROWLESS_WEBHOOK_SECRET": SECRET,
    }
    key = tmp_path / "elsewhere"
    address = Address(True, "alerts.example.org", 8443, "/in?token=x")
    wanted = Settings(
        tmp_path,
        "postgresql+psycopg://u:p@h/d",
        key,
        "0.0.0.0",
        65535,
        5,
        4,
        3,
        1,
        "1.5 GiB",
        7,
        0,
        identity_days=400,
        regime="ehds",
        max_cells=5,
        log_format="json",
        metrics_port=9464,
        metrics_host="0.0.0.0",
        public_url="https://rowless.example.org",
        webhook_url=address,
        webhook_secret=bytes(24),
    )
    assert load_settings(given) == wanted


WRONG = {
    "ROWLESS_URL": ["", "http://rowless.example.org", "rowless.example.org"],
    "ROWLESS_TOKEN": [""],
    "ROWLESS_CLIENT_FOLDER": [""],
    "ROWLESS_OIDC_PAGES_CLIENT": [""],
    "ROWLESS_OIDC_PAGES_SECRET": [""],
    "ROWLESS_PUBLIC_URL": ["", "http://rowless.example.org", "rowless.example.org"],
    "ROWLESS_TOKEN_RATE": ["", "0/minute", "fast", "-1/minute", "10"],
    "ROWLESS_ADDRESS_RATE": ["", "0/second", "10/fortnight"],
    "ROWLESS_OIDC_ISSUER": ["", "http://login.example.org", "login.example.org", "https://u:p@h/", "https://h/#x"],
    **{key: [""] for key in (f"ROWLESS_OIDC_{one}" for one in ("AUDIENCE", "RESEARCHER", "CLIENT", "SCOPE"))},
    **{key: [""] for key in (f"ROWLESS_OIDC_{one}_CLAIM" for one in ("NAME", "ROLE"))},
    "ROWLESS_ENGINE": ["", "SPARK", "polars"],
    **{key: [""] for key in (f"ROWLESS_SPARK_{one}" for one in ("MASTER", "SECRET", "PARTS", "PYTHON", "ARCHIVES"))},
    **{
        key: ["", "1", "1GB", "0g", "1.5g"] for key in (f"ROWLESS_SPARK_{one}_MEMORY" for one in ("DRIVER", "EXECUTOR"))
    },
    "ROWLESS_SPARK_PY_FILES": [""],
    "ROWLESS_SPARK_EXECUTOR_CORES": ["", "0", "1025", "all"],
    "ROWLESS_SPARK_TASK_MEMORY": ["", "1g", "50%"],
    "ROWLESS_SPARK_PERSONS_PER_PART": ["", "0", "many"],
    "ROWLESS_SPARK_SETTINGS": ["", "spark.a", "=1", "spark.a= spark.b=1"],
    "ROWLESS_HOME": [""],
    "ROWLESS_HOST": [""],
    "ROWLESS_DATABASE_URL": [""],
    "ROWLESS_AUDIT_KEY_FILE": [""],
    "ROWLESS_PORT": ["", "0", "65536", "-1", "80.0", "eighty", "1e3", " 80", "0x50", "٨٠", "9" * 30],
    "ROWLESS_QUERIES": ["", "0", "257", "many"],
    "ROWLESS_SHARE": ["", "0", "257", "many"],
    "ROWLESS_WAITING": ["", "0", "257", "many"],
    "ROWLESS_THREADS": ["", "0", "257", "many"],
    "ROWLESS_MEMORY_LIMIT": ["", "0GB", "2", "2G", "GB", "-1GB", "50%", "2GB; SET x = 1", "2GB\n"],
    "ROWLESS_QUERY_SECONDS": ["", "0", "86401", "1.5"],
    "ROWLESS_SLOT_MS": ["", "-1", "60001", "off"],
    "ROWLESS_IDENTITY_DAYS": ["", "0", "182", "36501", "a year"],
    "ROWLESS_MAX_CELLS": ["", "0", str(2**31), "1_000"],
    "ROWLESS_REGIME": ["", "EHDS", "gdpr"],
    "ROWLESS_METRICS_PORT": ["", "0", "65536", "OFF", "on"],
    "ROWLESS_METRICS_HOST": [""],
    "ROWLESS_LOG_FORMAT": ["", "JSON", "text", "json\n"],
    "ROWLESS_WEBHOOK_URL": [
        *("", "alerts.example.org", "ftp://h/", "file:///etc/passwd", "https://", "https:///path", "http://h:99999/"),
        *(
            "http://h:0/",
            "http://h:x/",
            "https://user:pw@h/",
            "https://h/#part",
            "https://h/a b",
            "https://hé/",
            "http://h/\n",
        ),
        *("http://[::1", "javascript:alert(1)", "OFF"),
    ],
    "ROWLESS_WEBHOOK_SECRET": [
        *(
            "",
            "whsec_",
            SECRET.removeprefix("whsec_"),
            "whsec_AAAA",
            SECRET[:-1],
            SECRET + "=",
            SECRET + "\n",
            "WHSEC_" + SECRET[6:],
        ),
        *("whsec_" + "A" * 28, "whsec_" + "A" * 88, "whsec_" + "-" * 32),
    ],
}


@pytest.mark.parametrize("given", ["ROWLESS_WEBHOOK_URL", "ROWLESS_WEBHOOK_SECRET"])
def test_a_webhook_has_both_or_neither(given: str, tmp_path: Path) -> None:
    """An address without a secret, or a secret without an address, is refused: nothing is sent unsigned."""
    both = {"ROWLESS_WEBHOOK_URL": "http://127.0.0.1:9/", "ROWLESS_WEBHOOK_SECRET": SECRET}
    (missing,) = both.keys() - {given}
    with pytest.raises(SettingsError, match=rf"^{missing}: .*{given}"):
        load_settings({given: both[given]})
    file = tmp_path / "secret"
    file.write_text(f"{both[missing]}\n")
    loaded = load_settings({given: both[given], f"{missing}_FILE": str(file)})
    assert (loaded.webhook_url, loaded.webhook_secret) == (Address(False, "127.0.0.1", 9, "/"), bytes(24))
    assert "whsec" not in repr(loaded)
    assert "127.0.0.1:9" not in repr(loaded)


def test_every_setting_has_wrong_values_here() -> None:
    """No setting is left out of the test of wrong values."""
    assert set(WRONG) == {setting.name for setting in SETTINGS.values()}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_names_its_setting_and_the_reason(name: str, value: str) -> None:
    """A value that cannot be is refused with the setting's name and what it must be."""
    with pytest.raises(SettingsError, match=rf"^{name}: must ") as raised:
        load_settings({name: value})
    assert len(str(raised.value)) < 200


def test_a_wrong_value_stops_the_start() -> None:
    """`rowless serve` and other commands with a wrong value end with exit code 1, its name and the reason."""
    for command in (["serve"], ["doctor"], ["demo"]):
        ended = processes.run("server.cli", *command, variables=environment(ROWLESS_PORT="http"))
        assert ended.returncode == 1
        assert "ROWLESS_PORT: must be a whole number from 1 to 65535 (it is 'http')" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout == ""


@pytest.mark.parametrize("url", ["nonsense", "oracle9://h/d", "sqlite:///no/such/folder/ledger.sqlite"])
def test_an_unusable_database_stops_the_start(tmp_path: Path, url: str) -> None:
    """A database address that cannot be used stops the start with the setting's name, and no traceback."""
    variables = environment(ROWLESS_HOME=str(tmp_path), ROWLESS_DATABASE_URL=url)
    ended = processes.run("server.cli", "serve", variables=variables)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "ROWLESS_DATABASE_URL" in ended.stderr


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    """ROWLESS_DATABASE_URL_FILE names a file with the value; the end of its line is no part of it."""
    file = tmp_path / "url"
    file.write_text("sqlite:////srv/ledger.sqlite\n")
    assert load_settings({"ROWLESS_DATABASE_URL_FILE": str(file)}).database_url == "sqlite:////srv/ledger.sqlite"


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    """A secret given both ways is refused, and so is a file that is missing, is a folder, or is no text."""
    file = tmp_path / "url"
    file.write_text("x")
    with pytest.raises(SettingsError, match="both set"):
        load_settings({"ROWLESS_DATABASE_URL": "x", "ROWLESS_DATABASE_URL_FILE": str(file)})
    for wrong in (tmp_path / "none", tmp_path):
        with pytest.raises(SettingsError, match="ROWLESS_DATABASE_URL_FILE.*cannot be read"):
            load_settings({"ROWLESS_DATABASE_URL_FILE": str(wrong)})
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="ROWLESS_DATABASE_URL_FILE"):
        load_settings({"ROWLESS_DATABASE_URL_FILE": str(file)})


def test_refused_secret_setting_is_not_quoted(tmp_path: Path) -> None:
    """What is refused about a secret does not quote it; only secrets have a _FILE form."""
    file = tmp_path / "empty"
    file.write_text("")
    with pytest.raises(SettingsError) as raised:
        load_settings({"ROWLESS_DATABASE_URL_FILE": str(file)})
    assert "it is" not in str(raised.value)
    assert load_settings({"ROWLESS_PORT_FILE": "/nowhere"}).port == 8000


def test_regime_sets_the_least_span_for_names() -> None:
    """Under the EHDS names are kept for a year at least; without a regime half a year is enough."""
    assert load_settings({"ROWLESS_IDENTITY_DAYS": "183"}).identity_days == 183
    assert load_settings({"ROWLESS_REGIME": "ehds"}).identity_days == 365
    with pytest.raises(SettingsError, match="at least 365, because ROWLESS_REGIME is ehds"):
        load_settings({"ROWLESS_REGIME": "ehds", "ROWLESS_IDENTITY_DAYS": "364"})
