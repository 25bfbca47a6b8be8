"""Encoding on Ray gives the index that encoding in one process gives."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, PrerequisiteError
from factcheck.records import Document
from factcheck.retrieval import EvidenceIndex, engine
from factcheck.retrieval.ray_engine import RayEngine


# Each worker loads PyTorch and the encoders.
@pytest.mark.slow
def test_two_workers_build_the_same_index(
    documents: list[Document],
    encoders: Encoders,
    built: Path,
    tiny_image_encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Small batches, so that both workers have some and order matters.
    monkeypatch.setattr(engine, "PASSAGES_AT_ONCE", 2)
    monkeypatch.setattr("factcheck.retrieval.segment_writer.PASSAGES_AT_ONCE", 2)
    monkeypatch.setattr("factcheck.retrieval.segment_writer.PICTURES_AT_ONCE", 2)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    warnings: list[str] = []
    local = EvidenceIndex.open(built, encoders)
    with RayEngine.start("embedded", str(tiny_image_encoder_folder), 2, None) as ray:
        index = EvidenceIndex.build(documents, tmp_path / "i", encoders, engine=ray)
        assert index.sha256 == local.sha256
        rows = list(range(6))
        cosines = np.einsum("nd,nd->n", index.passage_vectors(rows), local.passage_vectors(rows))
        assert cosines == pytest.approx(1, abs=1e-3)
        assert np.allclose(index.image_tokens(rows[:4]), local.image_tokens(rows[:4]), atol=1e-2)
        assert index.reposts(0) == local.reposts(0)
        extended = index.add(
            [Document("bad", "Text.", image=bad)], engine=ray, on_warning=warnings.append
        )
        assert extended.manifest.images == 4
        assert "bad.jpg: not an image" in warnings[0]
        with pytest.raises(InvalidInputError, match=r"bad\.jpg"):
            index.add([Document("worse", "Text.", image=bad)], engine=ray, strict=True)


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a cluster that runs on this machine already."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = str(Path(sys.executable).with_name("ray"))
    head = [ray, "start", "--head", f"--port={port}", "--num-cpus=3", "--disable-usage-stats"]
    quiet = {"check": True, "capture_output": True, "timeout": 120}
    subprocess.run([*head, "--include-dashboard=false"], **quiet)  # type: ignore[call-overload]
    try:
        yield f"127.0.0.1:{port}"
    finally:
        subprocess.run([ray, "stop", "--force"], **quiet)  # type: ignore[call-overload]


@pytest.mark.slow
def test_a_cluster_that_is_there_builds_the_same_index(
    cluster: str,
    documents: list[Document],
    encoders: Encoders,
    built: Path,
    tiny_image_encoder_folder: Path,
    tmp_path: Path,
) -> None:
    local = EvidenceIndex.open(built, encoders)
    with RayEngine.start("embedded", str(tiny_image_encoder_folder), 2, cluster) as ray:
        index = EvidenceIndex.build(documents, tmp_path / "i", encoders, engine=ray)
    assert index.sha256 == local.sha256


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "nowhere"])
def test_no_cluster_answers(tiny_image_encoder_folder: Path, address: str) -> None:
    pytest.importorskip("ray")
    with (
        pytest.raises(PrerequisiteError, match=f"{address}: no Ray cluster answers there"),
        RayEngine.start("embedded", str(tiny_image_encoder_folder), 2, address),
    ):
        raise AssertionError("nothing is there")
