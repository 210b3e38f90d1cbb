"""Comparisons of schemes in the text, computed from the tables."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from fgmanifolds.verify import results
from fgmanifolds.verify.claim import FAILS, HOLDS
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, Fault
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.text_gains import ALL, THREE, figure_fault, text_claim

__all__ = ["ENTRIES", "all_best", "pio_best", "poms_better", "which_scheme", "worse"]

_HERE = "fgmanifolds.verify.statements.text_schemes"

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


def worse(first: pd.Series, second: pd.Series) -> pd.Series:
    """Where the first errors exceed the second, and by how much.

    Parameters
    ----------
    first, second : Series
        Errors in percent.
    """
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


_WORSE = Fault(
    "worse-by-two",
    FORMULA,
    "only differences above 2 points counted",
    f"{_HERE}:worse",
    lambda f: lambda first, second: f(first, second + 2.0),
)


ENTRIES = (
    text_claim(
        "text-all-best",
        "Section I",
        "Groups of weights with all different norms have the best performance.",
        "Three manifolds are better than four in three cases of fourteen.",
        all_best,
        FAILS,
        _WORSE,
        figure_fault("figure-xii-pi", "XII", "resnet44", f"pi:{ALL}", 6.30),
    ),
    text_claim(
        "text-poms",
        "Appendix D.A",
        "POMs of identical components perform better than individual component manifolds.",
        "In all rows but two of Table XIII, which look like misprints.",
        poms_better,
        FAILS,
        _WORSE,
        figure_fault("figure-xiii-ob", "XIII", "rcd110", "layer:oblique", 25.0),
    ),
    text_claim(
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
        figure_fault("figure-xii-ob", "XII", "resnet44", "pi:oblique", 6.84),
    ),
    text_claim(
        "text-pio",
        "Appendix D.A",
        "PIO performs better than PI and PO in all the experiments.",
        "Not for Euc.+Sp on Cifar-10.",
        pio_best,
        FAILS,
        _WORSE,
        figure_fault("figure-xii-pio", "XII", "resnet44", "pio:euclidean+sphere", 6.59),
    ),
)
