"""The studies of the repository, and the protocol that the documentation shows."""

import re
from pathlib import Path

import pandas as pd
import pytest

import fgmanifolds
from fgmanifolds.experiments.study.analysis import power_warning
from fgmanifolds.experiments.study.protocol import read_protocol
from fgmanifolds.experiments.study.tasks import rates_of

ROOT = Path(fgmanifolds.__file__).parents[1]
STUDIES = sorted((ROOT / "studies").glob("*/protocol.toml"))
PILOTS = sorted((ROOT / "studies").glob("*/pilot.toml"))


def test_there_are_studies():
    assert {"fashion", "cifar10-jpeg"} <= {path.parent.name for path in STUDIES}
    assert {"fashion", "cifar10-jpeg"} <= {path.parent.name for path in PILOTS}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_protocols_are_right_and_have_seeds_enough(path):
    protocol = read_protocol(path)
    assert protocol.name == path.parent.name
    assert power_warning(protocol) == []
    assert (path.parent / "README.md").exists()


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_runs_are_those_of_the_protocol(path):
    file = path.parent / "runs.csv"
    if not file.exists():
        pytest.skip("not run yet")
    protocol, runs = read_protocol(path), pd.read_csv(file)
    assert {"arm", "seed", "stage", "commit"} <= set(runs.columns)
    assert not runs.duplicated(["arm", "stage", "trial", "seed"]).any()
    for _, run in runs.iterrows():
        rates = rates_of(protocol.arm(run["arm"]), run["trial"])
        assert run["lr"] == pytest.approx(rates.lr, rel=1e-5)
        assert (run["stage"] == "test") == (run["test_error"] == run["test_error"])


@pytest.mark.parametrize("path", PILOTS, ids=lambda path: path.parent.name)
def test_pilots_train_as_their_studies_do(path):
    study, pilot = read_protocol(path.parent / "protocol.toml"), read_protocol(path)
    for part in ("data", "model", "budget"):
        assert getattr(pilot, part) == getattr(study, part)
    for arm in pilot.arms.values():
        assert rates_of(arm, 0) == rates_of(arm, 1)  # nothing is searched


def test_the_protocol_of_the_documentation_is_right(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/study.md").read_text(), re.S)
    path = tmp_path / "protocol.toml"
    path.write_text(text)
    protocol = read_protocol(path)
    assert list(protocol.arms) == ["sgd", "pio4", "mine"]
    assert protocol.arms["mine"].radius == "keep"
