"""Parts in an object store: each executor fetches them once, from a real server that speaks S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from queries.catalog import parts
from queries.execution.spark import copies
from tests.queries.parted import divide
from tests.serving import PATIENTS, application, ask, make_home, serving, write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
EXACT = ask({**PATIENTS, "total": {"sum": "cost"}}, 1000.0, "visits")


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a server that speaks S3, and return what a URL says of it. The credentials are in the environment."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"endpoint_override={host}:{port}&scheme=http&region=eu-west-1"
    server.stop()


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ("/mnt/parts/", "/mnt/parts/d/e/f"),
        ("/mnt/what?/parts", "/mnt/what?/parts/d/e/f"),
        ("s3://bucket/rowless", "s3://bucket/rowless/d/e/f"),
        ("s3://bucket/rowless/?scheme=http&region=x", "s3://bucket/rowless/d/e/f?scheme=http&region=x"),
        ("hdfs://namenode:8020/rowless", "hdfs://namenode:8020/rowless/d/e/f"),
    ],
)
def test_what_a_url_asks_for_stays_at_its_end(place: str, where: str) -> None:
    """A part's path goes before it, and a folder may have a question mark in its name."""
    assert copies.under(place, "d/e/f") == where


def test_parts_in_an_object_store_are_fetched_once(tmp_path: Path, options: str) -> None:
    """The answer is that of the home. Without the object store the next query is answered from the copies."""
    home = make_home(tmp_path / "home", write_clinic(tmp_path))
    folder = home.store("clinic").parent
    divide(folder, 3)
    with application(home) as place:
        place.open_study("local", "clinic", epsilon=4_000.0)
        here = place.client("ada").good("POST", "/studies/local/queries", EXACT)
    system, bucket = fs.FileSystem.from_uri(f"s3://bucket?allow_bucket_creation=true&{options}")
    system.create_dir(bucket)
    for part in parts.kept(folder).parts:
        target = f"bucket/rowless/clinic/{folder.name}/{part.file}"
        with system.open_output_stream(target) as file:
            file.write((folder / part.file).read_bytes())
    on_spark = {
        "engine": "spark",
        "spark_master": "local-cluster[1,1,1024]",
        "spark_executor_memory": "1g",
        "spark_parts": f"s3://bucket/rowless?{options}",
    }
    with serving(home, **on_spark) as server:
        server.open_study("cluster", "clinic", epsilon=4_000.0)
        ada = server.client("ada")
        there = ada.good("POST", "/studies/cluster/queries", EXACT)
        assert there["rows"][0]["patients"] == here["rows"][0]["patients"]
        for part in parts.kept(folder).parts:
            system.delete_file(f"bucket/rowless/clinic/{folder.name}/{part.file}")
        other = ask({**PATIENTS}, 1000.0, "visits")
        assert ada.good("POST", "/studies/cluster/queries", other)["rows"]
    home.assert_sound()
