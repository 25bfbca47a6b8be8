"""Every configuration in the repository can be read as what it says it is."""

from pathlib import Path

import pytest
import yaml

from factcheck.datasets.compose_settings import ComposeSettings
from factcheck.evaluation.results_table import ResultRow
from factcheck.settings import read_yaml
from factcheck.training_settings import TrainingSettings

CONFIGS = Path(__file__).parents[1] / "configs"
PATHS = sorted(CONFIGS.rglob("*.y*ml"))


def test_there_are_configurations_of_many_kinds() -> None:
    kinds = {yaml.safe_load(path.read_text())["kind"] for path in PATHS}
    assert {"compose", "result-row", "fusion", "image-encoder", "staged"} < kinds


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_a_configuration_is_what_it_says(path: Path) -> None:
    kind = yaml.safe_load(path.read_text())["kind"]
    settings = {"compose": ComposeSettings, "result-row": ResultRow}.get(kind, TrainingSettings)
    assert read_yaml(path, settings).kind == kind
