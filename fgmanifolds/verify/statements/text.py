"""What the text says of the experiments, computed from the tables' figures."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from scipy import stats

from fgmanifolds import capacity
from fgmanifolds.verify import results
from fgmanifolds.verify.claim import CORRECTED, FAILS, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES"]

ALL = "sphere+oblique+stiefel+euclidean"
THREE = "sphere+oblique+stiefel"

#: Tables with schemes: (table, system, augmentation).
RUNS = (
    ("XI", "resnet18", None),
    ("XII", "resnet44", None),
    ("XIII", "rcd110", "with"),
    ("XIII", "rcd110", "without"),
    ("XIII", "rsd110", "with"),
    ("XIII", "rsd110", "without"),
    ("XIV", "rcd110", "with"),
    ("XIV", "rcd110", "without"),
    ("XIV", "rsd110", "with"),
    ("XIV", "rsd110", "without"),
)


def _place(run: tuple[str, str, str | None]) -> str:
    return " ".join(part for part in run if part)


# Gains ----------------------------------------


def gain(before: float, after: float) -> float:
    """What the text calls a boost: the difference of two errors, in points."""
    return before - after


def boosts() -> Finding:
    """Check the arithmetic of the gains that the text gives."""
    eleven, twelve = results.errors("XI", "resnet18"), results.errors("XII", "resnet44")
    rcd = {da: results.errors("XIII", "rcd110", da) for da in ("with", "without")}
    three, deeper = results.errors("III", "resnet50"), results.errors("III", "resnet101")
    best = f"pio:{ALL}"
    pairs = {
        "ResNet-18, all four": (3.24, eleven["euclidean"], eleven[best]),
        "ResNet-44, Euc+St": (0.28, twelve["euclidean"], twelve["pio:euclidean+stiefel"]),
        "ResNet-18, Euc+St": (2.06, eleven["euclidean"], eleven["pio:euclidean+stiefel"]),
        "ResNet-50, all four": (1.84, three["euclidean"], three[best]),
        "ResNet-50 against ResNet-101": (0.26, deeper["euclidean"], three[best]),
        "RCD without DA": (5.30, rcd["without"]["euclidean"], rcd["without"][best]),
        "RCD with DA": (3.22, rcd["with"]["euclidean"], rcd["with"][best]),
    }
    found = Evidence()
    for name, (printed, before, after) in pairs.items():
        found.near(PRINTED, f"{name}: gain", gain(float(before), float(after)), printed, 1e-9)
    return found.finding("Sections V, D.A", "Gains of 3.24, 0.28, 2.06, 1.84, 0.26, 5.3 and 3.22.")


def larger_datasets() -> Finding:
    """Check that collections help large networks on Imagenet more than small ones on Cifar-10."""
    eleven, twelve = results.errors("XI", "resnet18"), results.errors("XII", "resnet44")
    large, small = (
        gain(float(run["euclidean"]), float(run[f"pio:{ALL}"])) for run in (eleven, twelve)
    )
    found = Evidence()
    relative = {
        "Imagenet": large / float(eleven["euclidean"]),
        "Cifar-10": small / float(twelve["euclidean"]),
    }
    for name, value in relative.items():
        found.note(f"{name}: gain relative to Euc.", value)
    found.above(PRINTED, "relative gains, first less second", more(relative), 0.0)
    found.near(RIGHT, "Imagenet: gain in points", large, 3.24, 1e-9)
    found.near(RIGHT, "Cifar-10: gain in points", small, 1.13, 1e-9)
    return found.finding(
        "D.A",
        "Collections boost large networks on large data sets more than small ones on small.",
        "In points; relative to the error it is the other way round.",
        corrected=True,
    )


def more(gains: dict[str, float]) -> float:
    """By how much the first of two gains exceeds the second."""
    first, second = gains.values()
    return first - second


def augmentation() -> Finding:
    """Check that sets boost networks with data augmentation more than those without."""
    found, points, relative = Evidence(), {}, {}
    for da in ("with", "without"):
        run = results.errors("XIII", "rcd110", da)
        points[da] = gain(float(run["euclidean"]), float(run[f"pio:{ALL}"]))
        relative[da] = points[da] / float(run["euclidean"])
        found.note(f"{da} DA: gain relative to Euc.", relative[da])
    found.above(PRINTED, "gains in points, with less without", more(points), 0.0)
    found.near(RIGHT, "with DA: gain in points", points["with"], 3.22, 1e-9)
    found.near(RIGHT, "without DA: gain in points", points["without"], 5.30, 1e-9)
    return found.finding(
        "D.A",
        "Sets boost networks that use DA more than those without.",
        "3.22 points with and 5.30 without, in the next sentence of the text; relative to the "
        "error the two are alike, 11.92% and 11.87%.",
        ("XIII", "rcd110"),
        beyond_repair=True,
    )


# Comparisons of schemes ----------------------------------------


def worse(first: pd.Series, second: pd.Series) -> pd.Series:
    """Where the first errors exceed the second, and by how much."""
    excess = (first - second).dropna()
    return excess[excess > 1e-9]


def _by_manifolds(run: pd.Series, scheme: str) -> pd.Series:
    chosen = run[run.index.str.startswith(f"{scheme}:")]
    return chosen.rename(index=lambda method: method.split(":")[1])


def _exceptions(
    name: str,
    claim: str,
    compare: Callable[[pd.Series], pd.Series],
    expected: int,
    note: str,
    runs: tuple[tuple[str, str, str | None], ...] = RUNS,
) -> Finding:
    """Count the rows that contradict a comparison."""
    found, rows, compared = Evidence(), [], 0
    for run in runs:
        table = results.errors(*run)
        exceptions = compare(table)
        compared += len(table)
        rows += [f"{_place(run)}: {what} by {by:.2f}" for what, by in exceptions.items()]
        for what, by in exceptions.items():
            found.note(f"{_place(run)}, {what}: worse by", float(by))
    found.near(PRINTED, "rows that contradict it", len(rows), 0, 0)
    found.near(RIGHT, "the same, counted by hand", len(rows), expected, 0)
    found.above(CODE, "rows compared", compared, 1)
    return found.finding(name, claim, note, rows, beyond_repair=True)


def pio_best() -> Finding:
    """Check that PIO is better than PI and PO in all experiments that have them."""

    def compare(run: pd.Series) -> pd.Series:
        pio = _by_manifolds(run, "pio")
        others = {s: worse(pio, _by_manifolds(run, s)) for s in ("pi", "po")}
        return pd.concat([rows.add_suffix(f" against {s}") for s, rows in others.items()])

    return _exceptions(
        "D.A",
        "PIO performs better than PI and PO in all the experiments.",
        compare,
        2,
        "Not for Euc.+Sp on Cifar-10: 6.95 against 6.89 (PI) and 6.85 (PO).",
        RUNS[:2],
    )


def poms_better() -> Finding:
    """Check that POMs of one manifold are better than individual components."""

    def compare(run: pd.Series) -> pd.Series:
        return worse(_by_manifolds(run, "layer"), _by_manifolds(run, "kernel"))

    return _exceptions(
        "D.A",
        "POMs of identical components perform better than individual component manifolds.",
        compare,
        2,
        "Not for Ob of RCD without DA (42.88 against 42.00) nor St of RSD with DA (23.85 against "
        "23.09) on Cifar-100. Both would fit if they were 1.00 less; all other rows do.",
    )


def all_best() -> Finding:
    """Check that the collection of all four manifolds is the best."""

    def compare(run: pd.Series) -> pd.Series:
        four = run[run.index.str.endswith(f":{ALL}")].rename(lambda m: m.split(":")[0])
        three = run[run.index.str.endswith(f":{THREE}")].rename(lambda m: m.split(":")[0])
        return worse(four, three).rename(lambda scheme: f"{scheme} of four against three")

    return _exceptions(
        "Section I",
        "Groups of weights with all different norms have the best performance.",
        compare,
        3,
        "Three manifolds are better than four for PI on Cifar-10 (6.31, 6.34) and for RSD on "
        "Cifar-10 with and without DA (4.29, 4.31 and 9.52, 9.56).",
    )


def which_scheme() -> Finding:
    """Check that Ob is better with PI, and St and Sp with PO."""
    found = Evidence()
    for table, system in (("XI", "resnet18"), ("XII", "resnet44")):
        run = results.errors(table, system)
        oblique = float(run["po:oblique"] - run["pi:oblique"])
        pair = float(run["pi:sphere+stiefel"] - run["po:sphere+stiefel"])
        found.above(PRINTED, f"{table}, Ob: PO less PI", oblique, 0.005)
        found.above(PRINTED, f"{table}, Sp+St: PI less PO", pair, 0.005)
    return found.finding(
        "D.A", "Ob performs better for PI than for PO, collections of St and Sp better for PO."
    )


def splitting() -> Finding:
    """Check that the weight splitting scheme improves every network of Table XVI."""
    found = Evidence()
    for system in ("resnext50_32x4d", "mobilenet_v2", "deeproots50"):
        run = results.errors("XVI", system)
        plain = gain(float(run["euclidean"]), float(run["euclidean@wss"]))
        pio = gain(float(run[f"pio:{ALL}@sose"]), float(run[f"pio:{ALL}@wss"]))
        found.above(PRINTED, f"{system}: gain of WSS, Euc.", plain, 0.05)
        found.above(PRINTED, f"{system}: gain of WSS, PIO", pio, 0.05)
    return found.finding(
        "D.C",
        "The weight splitting scheme improves networks with separable convolutions.",
        "By 0.2 to 0.5 points, in single figures without deviations. The layers of Mobilenetv2 "
        "are depthwise, where no splitting of sets can change the network.",
    )


def voting() -> Finding:
    """Check that the proposed methods outperform votes, and what the votes are worth."""
    found = Evidence()
    run, votes = results.errors("XII", "resnet44"), results.errors("D.B", "resnet44")
    for names, error in votes.items():
        manifolds = str(names).split(":")[1]
        best = float(run[f"pio:{ALL if 'euclidean' in manifolds else THREE}"])
        found.above(PRINTED, f"vote of {manifolds} less PIO", float(error) - best, 0.005)
    members = run[["euclidean", "kernel:sphere", "kernel:oblique", "kernel:stiefel"]]
    four = float(votes["vote:euclidean+sphere+oblique+stiefel"])
    better = int((members < four).sum())
    found.near(RIGHT, "members that are better than the vote of four", better, 3, 0)
    quarter = results.errors("D.B", "resnet44-quarter")
    small = quarter[["euclidean", "kernel:sphere", "kernel:oblique", "kernel:stiefel"]]
    vote = float(quarter["vote:euclidean+sphere+oblique+stiefel"])
    better = int((small < vote).sum())
    found.near(RIGHT, "the same of networks of a quarter", better, 3, 0)
    return found.finding(
        "D.B",
        "The proposed methods outperform ensembles by voting.",
        "They do. The votes printed are weak: that of four networks is worse than three of its "
        "four members, and 9.44 with a quarter of the weights, where the members have 7.18, 7.30 "
        "and 7.76. How ties are broken is not said.",
    )


# Statistics ----------------------------------------


def welch(first: pd.Series, second: pd.Series) -> float:
    """P value of Welch's test of two rows with means, deviations and numbers of runs."""
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


# Where things stand ----------------------------------------


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


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.text"
_DATA = "fgmanifolds.verify.results:paper_results"


def _with_figure(table: str, system: str, method: str, error: float) -> Callable[..., object]:
    """The table of results with another error in some rows."""

    def change(original: Callable[[], pd.DataFrame]) -> Callable[[], pd.DataFrame]:
        def wrong() -> pd.DataFrame:
            frame = original()
            rows = (frame["table"] == table) & (frame["system"] == system)
            frame.loc[rows & (frame["method"] == method), "error"] = error
            return frame

        return wrong

    return change


def _figure(name: str, table: str, system: str, method: str, error: float) -> Fault:
    what = f"the figure of {method}, {system}, Table {table}, as {error:g}"
    return Fault(name, PACKAGE, what, _DATA, _with_figure(table, system, method, error))


_GAIN = Fault(
    "gain-sign",
    FORMULA,
    "gains with the other sign",
    f"{_HERE}:gain",
    instead(lambda before, after: after - before),
)
_WORSE = Fault(
    "worse-by-two",
    FORMULA,
    "only differences above 2 points counted",
    f"{_HERE}:worse",
    lambda f: lambda first, second: f(first, second + 2.0),
)
_MORE = Fault(
    "more-any",
    FORMULA,
    "the larger gain taken for the first",
    f"{_HERE}:more",
    lambda f: lambda gains: abs(f(gains)),
)
_RIGHT_FIGURES = "fgmanifolds.verify.results.paper_results"


def _text(
    name: str,
    where: str,
    printed: str,
    right: str,
    check: Callable[[], Finding],
    expected: str,
    *faults: Fault,
) -> Claim:
    return Claim(
        name,
        where,
        printed,
        right,
        _RIGHT_FIGURES,
        check,
        expected,
        "Computed from the figures of the tables, as transcribed.",
        faults,
        "text",
    )


ENTRIES = (
    _text(
        "text-all-best",
        "Section I",
        "Groups of weights with all different norms have the best performance.",
        "Three manifolds are better than four in three cases of fourteen.",
        all_best,
        FAILS,
        _WORSE,
        _figure("figure-xii-pi", "XII", "resnet44", f"pi:{ALL}", 6.30),
    ),
    _text(
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
            _DATA,
            lambda f: lambda: f().replace({"table": {"III": "XV"}}),
        ),
        Fault(
            "row-lost",
            PACKAGE,
            "the table of results lacks the rows of ResNet-101",
            _DATA,
            lambda f: lambda: f()[lambda rows: rows["system"] != "resnet101"],
        ),
    ),
    _text(
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
        _figure("figure-iii-se", "III", "se_resnet50", "euclidean", 22.31),
    ),
    _text(
        "text-boosts",
        "Sections V, D.A",
        "Gains of 3.24, 0.28, 2.06, 1.84, 0.26, 5.3 and 3.22.",
        "",
        boosts,
        HOLDS,
        _GAIN,
        _figure("figure-xi-all", "XI", "resnet18", f"pio:{ALL}", 27.17),
    ),
    _text(
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
    _text(
        "text-poms",
        "Appendix D.A",
        "POMs of identical components perform better than individual component manifolds.",
        "In all rows but two of Table XIII, which look like misprints.",
        poms_better,
        FAILS,
        _WORSE,
        _figure("figure-xiii-ob", "XIII", "rcd110", "layer:oblique", 25.0),
    ),
    _text(
        "text-larger",
        "Appendix D.A",
        "Collections boost large networks on large data sets more than small ones on small.",
        "In points, 3.24 against 1.13; relatively 10.7% against 16.0%.",
        larger_datasets,
        CORRECTED,
        _MORE,
        _figure("figure-xii-all", "XII", "resnet44", f"pio:{ALL}", 6.92),
    ),
    _text(
        "text-which-scheme",
        "Appendix D.A",
        "Ob performs better for PI than for PO, collections of St and Sp better for PO.",
        "",
        which_scheme,
        HOLDS,
        Fault(
            "schemes-swapped",
            FORMULA,
            "PI and PO swapped",
            "fgmanifolds.verify.results:errors",
            lambda f: (
                lambda *run: f(*run).rename(
                    lambda m: m.replace("pi:", "x:").replace("po:", "pi:").replace("x:", "po:")
                )
            ),
        ),
        _figure("figure-xii-ob", "XII", "resnet44", "pi:oblique", 6.84),
    ),
    _text(
        "text-pio",
        "Appendix D.A",
        "PIO performs better than PI and PO in all the experiments.",
        "Not for Euc.+Sp on Cifar-10.",
        pio_best,
        FAILS,
        _WORSE,
        _figure("figure-xii-pio", "XII", "resnet44", "pio:euclidean+sphere", 6.59),
    ),
    _text(
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
            _DATA,
            lambda f: (
                lambda: f().assign(runs=lambda rows: rows["runs"].where(rows["runs"] != 3, 10))
            ),
        ),
        _figure("figure-xv", "XV", "rcd110", "kernel:stiefel", 25.38),
    ),
    _text(
        "text-augmentation",
        "Appendix D.A",
        "Sets boost networks that use DA more than those without.",
        "Less, in points: 3.22 against 5.30.",
        augmentation,
        FAILS,
        _MORE,
        _figure("figure-xiii-all", "XIII", "rcd110", f"pio:{ALL}", 23.0),
    ),
    _text(
        "text-voting",
        "Appendix D.B",
        "The proposed methods outperform ensembles by voting.",
        "",
        voting,
        HOLDS,
        Fault(
            "votes-halved",
            FORMULA,
            "half of the errors of votes",
            "fgmanifolds.verify.results:errors",
            lambda f: lambda *run: f(*run).mask(lambda s: s.index.str.startswith("vote"), 5.0),
        ),
        _figure("figure-db", "D.B", "resnet44", f"vote:{THREE}", 5.85),
    ),
    _text(
        "text-splitting",
        "Appendix D.C",
        "The weight splitting scheme improves networks with separable convolutions.",
        "",
        splitting,
        HOLDS,
        _GAIN,
        _figure("figure-xvi", "XVI", "mobilenet_v2", "euclidean@wss", 27.95),
    ),
)
