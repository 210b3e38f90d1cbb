"""All statements of the paper, in its order."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fgmanifolds.verify import statements
from fgmanifolds.verify.claim import Claim
from fgmanifolds.verify.fault import Fault

__all__ = ["CLAIMS", "FAULTS", "Claim"]

_ORDER = [
    "text-all-best",
    "eq1",
    "definition1",
    "remark1",
    "two-spheres",
    "table1",
    "table2",
    "table2-caption",
    "algorithm1",
    "eq2",
    "eq3",
    "eq4",
    "eq5",
    "eq6",
    "eq7",
    "text-table-names",
    "text-squeeze",
    "proposition1",
    "bai-yin",
    "table4",
    "table5",
    "definition2",
    "eq8",
    "table6",
    "definition3",
    "eq9",
    "lemma1",
    "eq10",
    "eq11",
    "eq12",
    "eq13",
    "eq14",
    "eq15",
    "eq16",
    "theorem1",
    "eq17",
    "eq18",
    "eq19",
    "theorem2",
    "eq20",
    "eq21",
    "eq22",
    "eq23",
    "eq24",
    "eq25",
    "eq26",
    "eq27",
    "eq28",
    "eq29",
    "corollary1",
    "corollary2",
    "eq30",
    "c-a-projection",
    "c-a-times",
    "table7",
    "table8",
    "eq31",
    "text-multiples",
    "eq32",
    "eq33",
    "example1",
    "text-boosts",
    "text-poms",
    "text-larger",
    "text-which-scheme",
    "text-pio",
    "text-runs",
    "text-augmentation",
    "text-voting",
    "text-splitting",
]


def _known() -> dict[str, Claim]:
    """What the modules of :mod:`fgmanifolds.verify.statements` have as their ``ENTRIES``."""
    names = (f"{statements.__name__}.{one.name}" for one in iter_modules(statements.__path__))
    entries = (claim for name in names for claim in import_module(name).ENTRIES)
    return {claim.name: claim for claim in entries}


def _ordered() -> dict[str, Claim]:
    known = _known()
    assert sorted(known) == sorted(_ORDER), set(known) ^ set(_ORDER)
    return {name: known[name] for name in _ORDER}


#: The statements by name, in the order of the paper.
CLAIMS: dict[str, Claim] = _ordered()

#: The faults by name, each once, in the order of the entries that should notice them.
FAULTS: dict[str, Fault] = {
    fault.name: fault for claim in CLAIMS.values() for fault in claim.faults
}
