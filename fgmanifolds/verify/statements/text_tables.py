"""Where and how often things are said to be, computed from the tables."""

from __future__ import annotations

import pandas as pd
from scipy import stats

from fgmanifolds import capacity
from fgmanifolds.verify import results
from fgmanifolds.verify.claim import CORRECTED, FAILS
from fgmanifolds.verify.evidence import PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.text_gains import ALL, DATA, THREE, figure_fault, text_claim

__all__ = ["ENTRIES", "against_squeeze", "multiples", "number_of_runs", "table_names", "welch"]

_HERE = "fgmanifolds.verify.statements.text_tables"


def welch(first: pd.Series, second: pd.Series) -> float:
    """P value of Welch's test of two rows with means, deviations and numbers of runs.

    Parameters
    ----------
    first, second : Series
        With error, std and runs.
    """
    a, b = ([row["error"], row["std"], row["runs"]] for row in (first, second))
    return float(stats.ttest_ind_from_stats(*a, *b, equal_var=False).pvalue)


def _row(table: pd.DataFrame, system: str, method: str) -> pd.Series:
    return table[(table["system"] == system) & (table["method"] == method)].iloc[0]


def against_squeeze() -> Finding:
    """Check that collections outperform SENet-Resnet-50, in means and by Welch's test."""
    table = results.paper_results()
    three = table[table["table"] == "III"]
    squeeze = _row(three, "se_resnet50", "euclidean")
    found = Evidence()
    for name, method in (("three", f"pio:{THREE}"), ("four", f"pio:{ALL}")):
        row = _row(three, "resnet50", method)
        ahead = float(squeeze["error"] - row["error"])
        found.above(RIGHT, f"{name} manifolds: ahead by", ahead, 0.1)
        found.below(
            PRINTED, f"{name} manifolds: p value of the difference", welch(row, squeeze), 0.05
        )
    return found.finding(
        "Section V",
        "Collections of manifolds outperform SENet-Resnet-50.",
        "In the means of three runs, by 0.27 and 0.42; with a deviation of 0.55 of the other side "
        "that may be chance.",
        corrected=True,
    )


def number_of_runs() -> Finding:
    """Check that Tables XIII and XV, of 10 and of 3 runs, are of different runs."""
    table = results.paper_results()
    same = (table["system"] == "rcd110") & (table["augmentation"] == "with")
    first, second = (
        table[same & (table["table"] == name) & table["runs"].notna()].set_index("method")
        for name in ("XIII", "XV")
    )
    both = first.index.intersection(second.index)
    means = (first.loc[both, "error"] - second.loc[both, "error"]).abs().max()
    counts = (first.loc[both, "runs"] - second.loc[both, "runs"]).abs().max()
    found = Evidence()
    found.near(RIGHT, "rows in both tables", len(both), 5, 0)
    found.near(RIGHT, "largest difference of their means", float(means), 0.0, 1e-9)
    found.below(PRINTED, "difference of the numbers of runs", float(counts), 0)
    return found.finding(
        "D.A, D.C",
        "Table XIII has means of 10 runs, Table XV of 3.",
        "Table XV repeats the means of Table XIII to the last digit; one of the numbers of runs "
        "must be wrong.",
        list(both),
        beyond_repair=True,
    )


def table_names() -> Finding:
    """Check that section V's results of SE blocks on Imagenet stand in Table XV, as it says."""
    table = results.paper_results()
    imagenet = table[(table["dataset"] == "imagenet") & (table["system"].str.contains("50|101"))]
    found = Evidence()
    inside = int((imagenet["table"] == "XV").sum())
    found.above(PRINTED, "rows of ResNet-50/101 on Imagenet in Table XV", inside, 1)
    three = int((imagenet["table"] == "III").sum())
    found.near(RIGHT, "the same in Table III", three, 16, 0)
    rcd = table[(table["table"] == "III") & (table["system"] == "rcd110")]
    found.near(RIGHT, "rows of RCD on Imagenet, which III's caption names", len(rcd), 0, 0)
    return found.finding(
        "Section V",
        "Table XV shows results of SE blocks for Resnet-50 on Imagenet.",
        "Table III does. Its caption in turn names RCD-110 on Imagenet, of which there is no row.",
        corrected=True,
    )


def multiples() -> Finding:
    """Check that numbers of filters are 24 and its multiples."""
    found = Evidence()
    odd: dict[str, int] = {}
    for name, layers in capacity.ARCHITECTURES.items():
        for layer in layers:
            if layer.outputs % 24 and layer.kernel > 1:
                odd[f"{name}, {layer.name}"] = layer.outputs
    found.near(PRINTED, "convolutions of other widths", len(odd), 0, 0)
    others = [width for width in odd.values() if width != 64]
    found.near(RIGHT, "those of them that are not 64", len(others), 0, 0)
    return found.finding(
        "Appendix C.C",
        "The number of weights is increased to 24 and its multiples.",
        "The stems of Tables IX and X have 64.",
        sorted(odd),
        beyond_repair=True,
    )


ENTRIES = (
    text_claim(
        "text-table-names",
        "Section V",
        "Table XV shows results of SE blocks for Resnet-50 on Imagenet.",
        "Table III does.",
        table_names,
        CORRECTED,
        Fault(
            "table-iii-for-xv",
            FORMULA,
            "Table XV named where III is",
            DATA,
            lambda f: lambda: f().replace({"table": {"III": "XV"}}),
        ),
        Fault(
            "row-lost",
            PACKAGE,
            "the table of results lacks the rows of ResNet-101",
            DATA,
            lambda f: lambda: f()[lambda rows: rows["system"] != "resnet101"],
        ),
    ),
    text_claim(
        "text-squeeze",
        "Section V",
        "Collections of manifolds outperform SENet-Resnet-50.",
        "In the means of three runs; not beyond chance.",
        against_squeeze,
        CORRECTED,
        Fault(
            "welch-small",
            FORMULA,
            "p values a thousandth as large",
            f"{_HERE}:welch",
            lambda f: lambda a, b: f(a, b) / 1000,
        ),
        figure_fault("figure-iii-se", "III", "se_resnet50", "euclidean", 22.31),
    ),
    text_claim(
        "text-multiples",
        "Appendix C.C",
        "The number of weights is increased to 24 and its multiples.",
        "Stems have 64.",
        multiples,
        FAILS,
        Fault(
            "widths-48",
            FORMULA,
            "stems of 72 filters",
            "fgmanifolds.capacity:ARCHITECTURES",
            lambda architectures: {
                name: [layer for layer in layers if layer.outputs != 64]
                for name, layers in architectures.items()
            },
        ),
        Fault(
            "widths-50",
            PACKAGE,
            "a convolution of 50 filters among the networks",
            "fgmanifolds.capacity:ARCHITECTURES",
            lambda architectures: {
                **architectures,
                "another": [capacity.LayerShape("wrong", 24, 50, 3, 8)],
            },
        ),
    ),
    text_claim(
        "text-runs",
        "Appendices D.A, D.C",
        "Table XIII has means of 10 runs, Table XV of 3.",
        "The means are the same.",
        number_of_runs,
        FAILS,
        Fault(
            "runs-ten",
            FORMULA,
            "10 runs for Table XV as well",
            DATA,
            lambda f: (
                lambda: f().assign(runs=lambda rows: rows["runs"].where(rows["runs"] != 3, 10))
            ),
        ),
        figure_fault("figure-xv", "XV", "rcd110", "kernel:stiefel", 25.38),
    ),
)
