"""Gains that the text of the experiments speaks of, computed from the tables."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from fgmanifolds.verify import results
from fgmanifolds.verify.claim import CORRECTED, FAILS, HOLDS, Claim
from fgmanifolds.verify.evidence import PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead
from fgmanifolds.verify.finding import Finding

__all__ = [
    "ENTRIES",
    "augmentation",
    "boosts",
    "gain",
    "larger_datasets",
    "more",
    "splitting",
    "voting",
]

_HERE = "fgmanifolds.verify.statements.text_gains"

ALL = "sphere+oblique+stiefel+euclidean"

THREE = "sphere+oblique+stiefel"


def gain(before: float, after: float) -> float:
    """What the text calls a boost: the difference of two errors, in points.

    Parameters
    ----------
    before, after : float
    """
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


DATA = "fgmanifolds.verify.results:paper_results"


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


def figure_fault(name: str, table: str, system: str, method: str, error: float) -> Fault:
    what = f"the figure of {method}, {system}, Table {table}, as {error:g}"
    return Fault(name, PACKAGE, what, DATA, _with_figure(table, system, method, error))


GAIN = Fault(
    "gain-sign",
    FORMULA,
    "gains with the other sign",
    f"{_HERE}:gain",
    instead(lambda before, after: after - before),
)


MORE = Fault(
    "more-any",
    FORMULA,
    "the larger gain taken for the first",
    f"{_HERE}:more",
    lambda f: lambda gains: abs(f(gains)),
)


FIGURES = "fgmanifolds.verify.results.paper_results"


def text_claim(
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
        FIGURES,
        check,
        expected,
        "Computed from the figures of the tables, as transcribed.",
        faults,
        "text",
    )


ENTRIES = (
    text_claim(
        "text-boosts",
        "Sections V, D.A",
        "Gains of 3.24, 0.28, 2.06, 1.84, 0.26, 5.3 and 3.22.",
        "",
        boosts,
        HOLDS,
        GAIN,
        figure_fault("figure-xi-all", "XI", "resnet18", f"pio:{ALL}", 27.17),
    ),
    text_claim(
        "text-larger",
        "Appendix D.A",
        "Collections boost large networks on large data sets more than small ones on small.",
        "In points, 3.24 against 1.13; relatively 10.7% against 16.0%.",
        larger_datasets,
        CORRECTED,
        MORE,
        figure_fault("figure-xii-all", "XII", "resnet44", f"pio:{ALL}", 6.92),
    ),
    text_claim(
        "text-augmentation",
        "Appendix D.A",
        "Sets boost networks that use DA more than those without.",
        "Less, in points: 3.22 against 5.30.",
        augmentation,
        FAILS,
        MORE,
        figure_fault("figure-xiii-all", "XIII", "rcd110", f"pio:{ALL}", 23.0),
    ),
    text_claim(
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
        figure_fault("figure-db", "D.B", "resnet44", f"vote:{THREE}", 5.85),
    ),
    text_claim(
        "text-splitting",
        "Appendix D.C",
        "The weight splitting scheme improves networks with separable convolutions.",
        "",
        splitting,
        HOLDS,
        GAIN,
        figure_fault("figure-xvi", "XVI", "mobilenet_v2", "euclidean@wss", 27.95),
    ),
)
