"""The tables as files: every row of the paper, its figures, and recipes of the sources."""

import csv
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from fgmanifolds.data import DATASETS
from fgmanifolds.experiments.ensemble import majority_vote, vote_error
from fgmanifolds.experiments.recipe import recipe
from fgmanifolds.experiments.run_config import row_config
from fgmanifolds.experiments.runner import Settings, plan_runs
from fgmanifolds.experiments.table import TABLES, Method, load_table, paper_figures
from fgmanifolds.models import build_model

FIGURES = files("fgmanifolds.verify") / "paper_results.csv"
ROWS = [(name, row) for name in TABLES for row in load_table(name).rows]


def test_the_rows_are_those_of_the_figures():
    """Read by the csv module: each of the 300 figures has its row, and each row a figure."""
    with FIGURES.open(encoding="utf-8") as file:
        printed = [
            (r["table"], r["system"], r["augmentation"], r["method"], r["dataset"], r["error"])
            for r in csv.DictReader(file)
        ]
    assert len(printed) == 300
    mine = {
        (name, row.system.key, row.augmentation, str(row.method), row.system.data)
        for name, row in ROWS
    }
    assert len(mine) == len(ROWS)
    assert mine == {line[:5] for line in printed}
    for name, row in ROWS:
        errors = [float(p[5]) for p in printed if p[:4] == (name, *row.key.split("/", 2))]
        assert paper_figures(row, name)["error"].tolist() == errors


@pytest.mark.parametrize(("name", "row"), ROWS, ids=lambda x: getattr(x, "key", x))
def test_rows_name_networks_data_and_methods_that_exist(name, row):
    assert row.system.data in (*DATASETS, "imagenet")
    assert str(Method.parse(str(row.method))) == str(row.method)
    if row.method.scheme in ("euclidean", "kernel", "layer"):
        assert len(row.method.manifolds) == (row.method.scheme != "euclidean")


@pytest.mark.parametrize("key", {row.system.key: row for _, row in ROWS})
def test_systems_build_the_networks_of_the_specification(key):
    """Parameters of each system, as the counts of the networks have them by hand."""
    import torch

    rows = [(n, r) for n, r in ROWS if r.system.key == key]
    known = {
        "resnet44": 1_478_626,
        "resnet44-quarter": 371_254,
        "resnext50_32x4d": 25_028_904,
        "mobilenet_v2": 3_504_872,
        "deeproots50": 25_179_176,
        "resnet50": 26_937_240,
    }
    built = set()
    for _, row in rows:
        if row.method.members():
            continue
        config = row_config(row, 0)
        if (config.data, *config.options.items()) in built:
            continue
        built.add((config.data, *config.options.items()))
        classes = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}[config.data]
        with torch.device("meta"):
            model = build_model(config.model, classes, **config.options)
        if key in known:
            assert sum(p.numel() for p in model.parameters()) == known[key]
        assert config.options.get("wss", False) == (row.method.splitting == "wss")
        if key.startswith("se_resnet101") and config.data == "cifar100":
            assert model.conv1.kernel_size == (3, 3)


def test_schedules_of_the_sources():
    he, huang, sandler = recipe("he_cifar"), recipe("huang"), recipe("sandler")
    rates = [he.rate(epoch, 182) for epoch in range(182)]
    assert [rates.count(10.0**-k) for k in (0,)] == [91]
    assert np.isclose(rates, 0.1).sum() == 45
    assert np.isclose(rates, 0.01).sum() == 46
    assert [round(huang.rate(e, 500), 6) for e in (0, 249, 250, 374, 375, 499)] == [
        1, 1, 0.1, 0.1, 0.01, 0.01,
    ]  # fmt: skip
    assert sandler.rate(10, 200) == pytest.approx(0.98**10)
    assert [he.rate(e, 4) for e in range(4)] == pytest.approx([1, 1, 0.1, 0.01])
    assert sandler.rate(5, 10) == pytest.approx(sandler.rate(100, 200))
    assert (he.epochs * 45_000 + 127) // 128 == pytest.approx(64_000, rel=0.001)


def test_recipes_are_checked():
    he = recipe("he_cifar")
    for change, message in (
        ({"optimizer": "adam"}, "optimizer='adam'"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"milestones": (1.5,)}, "milestones=1.5"),
        ({"report": "best", "validation": 0.0}, "report='best' needs a validation part"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(he, **change)
    with pytest.raises(ValueError, match="recipe='he' is unknown"):
        recipe("he")


def test_rows_are_selected_by_pattern():
    table = load_table("XIII")
    assert len(table.select(None)) == 2 * 2 * 15
    assert {r.system.key for r in table.select(["rcd110/*"])} == {"rcd110"}
    assert len(table.select(["euclidean"])) == 4
    assert len(table.select(["rcd110/with/pio:*", "euclidean"])) == 8 + 4
    with pytest.raises(ValueError, match="rows='pio:torus' is unknown"):
        table.select(["pio:torus"])
    with pytest.raises(ValueError, match="table='XVII' is unknown; allowed: 'III'"):
        load_table("XVII")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pio:sphere+torus", "manifolds='torus' is unknown"),
        ("pia:sphere", "scheme='pia' is unknown"),
        ("pio", "manifolds is empty"),
        ("euclidean@wws", "splitting='wws'"),
    ],
)
def test_methods_are_checked(text, message):
    with pytest.raises(ValueError, match=message):
        Method.parse(text)


def test_votes_train_each_member_once(tmp_path):
    plans = plan_runs(load_table("D.B").rows, Settings(tmp_path, seeds=2))
    methods = sorted({str(plan.row.method) for plan in plans})
    assert methods == ["euclidean", "kernel:oblique", "kernel:sphere", "kernel:stiefel"]
    assert len(plans) == 2 * 2 * 4
    shared = plan_runs(load_table("XII").select(["kernel:sphere"]), Settings(tmp_path))
    assert shared[0].folder in {plan.folder for plan in plans}


def test_votes_against_counting():
    rng = np.random.default_rng(0)
    scores = rng.integers(-2, 3, (4, 300, 3)) + 0.1 * rng.normal(size=(4, 300, 3))
    expected, ties = [], 0
    for n in range(300):
        decided = [max(range(3), key=lambda k, m=m: scores[m, n, k]) for m in range(4)]
        most = max(decided.count(k) for k in range(3))
        first = [k for k in range(3) if decided.count(k) == most]
        summed = {
            k: sum(np.exp(s[n, k]) / sum(np.exp(s[n, j]) for j in range(3)) for s in scores)
            for k in first
        }
        expected.append(max(summed, key=summed.get))
        ties += len(first) > 1
    assert ties > 30
    assert majority_vote(scores).tolist() == expected
    labels = np.array(expected)
    labels[:30] = (labels[:30] + 1) % 3
    assert vote_error(scores, labels) == pytest.approx(10)


def test_ties_go_to_the_summed_softmax_by_hand():
    surer = [[5.0, 0.0, 0.0]], [[0.0, 1.0, 0.9]]
    assert majority_vote(surer).tolist() == [0]
    # The third class has the largest sum, but nobody decides for it.
    assert majority_vote([[[1.0, 0.0, 0.99]], [[0.0, 1.1, 1.09]]]).tolist() == [1]


@pytest.mark.parametrize("scores", [[], [np.zeros((2, 3)), np.zeros((2, 4))], [np.zeros(3)]])
def test_scores_that_do_not_belong_together_are_refused(scores):
    with pytest.raises(ValueError, match="scores have shapes"):
        majority_vote(scores)
