"""compose.yaml and the Helm chart: valid by their own schemas, and strict about what they run."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from server.runtime.settings import SETTINGS

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
DIGEST = f"sha256:{'a' * 64}"
LEAST = {"image": {"repository": "registry.example.org/rowless", "digest": DIGEST}}
ALL = {
    **LEAST,
    "replicas": 2,
    "imagePullSecrets": [{"name": "pull"}],
    "database": {"secret": "ledger"},
    "webhook": {"secret": "alerts"},
    "home": {"accessMode": "ReadWriteMany", "storageClass": "shared", "size": "100Gi"},
    "settings": {"ROWLESS_SLOT_MS": "500", "ROWLESS_THREADS": "4"},
    "ingress": {
        "enabled": True,
        "host": "rowless.example.org",
        "tlsSecret": "tls",
        "className": "nginx",
        "annotations": {"example.org/a": "b"},
    },
    "metrics": {"enabled": True, "port": 9500},
    "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}]},
    "nodeSelector": {"disk": "encrypted"},
    "tolerations": [{"key": "data", "operator": "Exists"}],
}
WRONG: dict[str, dict[str, Any]] = {
    "no image": {},
    "a tag for a digest": {"image": {"repository": "rowless", "digest": "latest"}},
    "an unknown value": {**LEAST, "replica": 2},
    "several servers on SQLite": {**LEAST, "replicas": 2},
    "several servers on one server's disk": {**LEAST, "replicas": 2, "database": {"secret": "ledger"}},
    "ingress without TLS": {**LEAST, "ingress": {"enabled": True, "host": "rowless.example.org"}},
    "a secret as a setting": {**LEAST, "settings": {"ROWLESS_DATABASE_URL": "postgresql://u:p@h/d"}},
}


@functools.cache
def rendered() -> dict[str, Any]:
    """Return what Helm says of each of the values, by name."""
    if find_spec("helm_python") is None:
        pytest.skip("helm-python-sdk has no wheel for this machine, so the chart was not rendered")
    asked = {"least": LEAST, "all": ALL, "maintenance": {**LEAST, "maintenance": True}, **WRONG}
    command = [sys.executable, "-m", "tests.deploy.render"]
    given = json.dumps(list(asked.values()))
    ended = subprocess.run(command, input=given, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    return dict(zip(asked, json.loads(ended.stdout), strict=True))


def manifests(name: str) -> dict[str, Any]:
    """Return the rendered objects by their kind."""
    said = rendered()[name]
    assert "error" not in said, said
    texts = [text for path, text in said["files"].items() if path.endswith(".yaml")]
    found = [one for text in texts for one in yaml.safe_load_all(text) if one is not None]
    return {one["kind"]: one for one in found}


@pytest.mark.parametrize("name", ["least", "all", "maintenance"])
def test_the_chart_is_good_to_helm_and_to_kubernetes(name: str) -> None:
    """Helm's linter has no finding but the missing icon, and each object is valid by the schema of Kubernetes, strictly."""
    lint = rendered()[name]["lint"]
    assert lint["errors"] == []
    assert [one["error"] for one in lint["messages"]] == ["icon is recommended"]
    kinds = {"Deployment", "Service", "PersistentVolumeClaim", "NetworkPolicy"} | (
        {"Ingress"} if name == "all" else set()
    )
    found = manifests(name)
    assert found.keys() == kinds
    for one in found.values():
        for version in ("1.31", "1.37"):
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("name", WRONG)
def test_the_chart_refuses_what_would_not_work(name: str) -> None:
    """Values that are missing, unknown or do not fit together stop Helm before anything is installed."""
    assert rendered()[name].get("error"), name


@pytest.mark.parametrize("name", ["least", "all"])
def test_the_pods_have_no_rights(name: str) -> None:
    """A pod runs as user 1000 by number with a read-only root, no capabilities, no token of the cluster, and by digest."""
    pod = manifests(name)["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == f"registry.example.org/rowless@{DIGEST}"
    assert pod["automountServiceAccountToken"] is False
    user = pod["securityContext"]
    assert (user["runAsNonRoot"], user["runAsUser"], user["seccompProfile"]["type"]) == (True, 1000, "RuntimeDefault")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/data", "/tmp"}
    assert pod["terminationGracePeriodSeconds"] > 30


@pytest.mark.parametrize("name", ["least", "all"])
def test_the_pods_know_their_settings(name: str) -> None:
    """Every variable is a setting or its file; secrets come from files; the home is below its volume's root."""
    (container,) = manifests(name)["Deployment"]["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    known = {setting.name: setting.secret for setting in SETTINGS.values()}
    assert {variable.removesuffix("_FILE") for variable in variables if variable not in known} <= {
        setting for setting, secret in known.items() if secret
    }
    assert not any(known.get(variable) for variable in variables), "a secret is in the environment"
    assert variables["ROWLESS_HOME"] == "/data/home"
    assert variables.get("ROWLESS_ADDRESS_RATE") == ("off" if name == "all" else None), (
        "behind an ingress all share an address"
    )


def test_maintenance_serves_nothing() -> None:
    """With maintenance a pod waits for commands, and no probe stops it."""
    (container,) = manifests("maintenance")["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["sleep", "infinity"]
    assert not any(name.endswith("Probe") for name in container)


def test_compose_yaml_meets_compose_schema() -> None:
    """compose.yaml meets the schema of the Compose specification."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_compose_exposes_the_proxy_alone() -> None:
    """Only the proxy has a port; the server and the ledger are in a network without a way out; what is mounted exists."""
    services, networks = COMPOSE["services"], COMPOSE["networks"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    for name in ("rowless", "database"):
        assert [networks[network] for network in services[name]["networks"]] == [{"internal": True}]
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).is_file(), volume
    for name in ("rowless", "proxy"):
        assert (services[name]["read_only"], services[name]["cap_drop"]) == (True, ["ALL"])
    assert services["rowless"]["user"] == "1000:1000"


def test_compose_passes_secrets_in_files() -> None:
    """No password stands in the file or in the environment of a container."""
    variables = {
        name: value for one in COMPOSE["services"].values() for name, value in one.get("environment", {}).items()
    }
    held = {name for name in variables if name.endswith("_FILE")}
    assert held == {"ROWLESS_DATABASE_URL_FILE", "POSTGRES_PASSWORD_FILE"}
    assert all(variables[name].startswith("/run/secrets/") for name in held)
    known = {setting.name for setting in SETTINGS.values()}
    assert {name.removesuffix("_FILE") for name in variables if name.startswith("ROWLESS_")} <= known
