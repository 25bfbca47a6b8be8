"""Settings from strangers: a file that is wrong is named, whatever is wrong with it."""

from pathlib import Path

import pytest

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.settings import FusionHeadSettings, SearchSettings, read_yaml


@pytest.mark.parametrize(
    "text",
    [
        "candidates: 2020-13-45",
        "candidates: !!int foo",
        "candidates: !!int ''",
        "candidates: !!float ''",
        "candidates: !!bool foo",
        "candidates: !!timestamp foo",
        "candidates: " + "[" * 5000,
        "<<: [1]",
        "? [a]\n: b",
        "a: [",
    ],
)
def test_what_is_no_yaml_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "search.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"search\.yaml: not a YAML file"):
        read_yaml(path, SearchSettings)


def test_what_the_settings_do_not_know_is_named(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text("candidates: 7\n")
    assert read_yaml(path, SearchSettings).candidates == 7
    path.write_text("candidate: 7\n")
    with pytest.raises(InvalidInputError, match=r"search\.yaml: candidate: "):
        read_yaml(path, SearchSettings)
    with pytest.raises(MissingResourceError, match=r"none\.yaml: cannot be read"):
        read_yaml(tmp_path / "none.yaml", SearchSettings)


def test_heads_of_the_fusion_head_divide_its_width() -> None:
    assert FusionHeadSettings(width=96, heads=8).heads == 8
    with pytest.raises(ValueError, match="8 heads do not divide the width 100"):
        FusionHeadSettings(width=100, heads=8)
