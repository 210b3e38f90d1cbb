"""Protocols of studies: what is run and what is asked, written down first, in TOML."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from fgmanifolds.experiments.study.arm import Arm, make_arms
from fgmanifolds.experiments.study.sections import Analysis, Budget, Data, Model, Search, Test
from fgmanifolds.validation import check_choice

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Protocol", "read_protocol"]

SECTIONS = {
    "data": Data,
    "model": Model,
    "budget": Budget,
    "search": Search,
    "test": Test,
    "analysis": Analysis,
}


@dataclass(frozen=True)
class Protocol:
    """A study, before it is run.

    Attributes
    ----------
    name, title : str
    data, model, budget, search, test, analysis
        The sections of the file.
    arms : dict of str to Arm
        In the order in which they are run.
    """

    name: str
    title: str
    data: Data
    model: Model
    budget: Budget
    search: Search
    test: Test
    analysis: Analysis
    arms: dict[str, Arm]

    def __post_init__(self) -> None:
        for pair in self.analysis.contrasts:
            for arm in pair:
                if arm not in self.arms:
                    listed = ", ".join(map(repr, self.arms))
                    raise ValueError(
                        f"[analysis]: the contrast {list(pair)!r} names arm {arm!r}, which is not "
                        f"run; arms: {listed}."
                    )
        last = self.search.seed + self.search.reruns
        tests = range(self.test.first_seed, self.test.first_seed + self.test.seeds)
        if self.search.seed in tests or last in tests or self.search.seed < tests[0] <= last:
            raise ValueError(
                f"[test]: seeds {tests[0]} to {tests[-1]} are not fresh: the search takes "
                f"{self.search.seed} to {last}."
            )

    def arm(self, name: str) -> Arm:
        """The arm called `name`; ``ValueError`` if the study has none."""
        check_choice("arm", name, self.arms)
        return self.arms[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: all that is written in the file, and all defaults."""
        sections = {name: asdict(getattr(self, name)) for name in SECTIONS}
        analysis = sections["analysis"]
        analysis["primary"] = list(analysis["primary"])
        analysis["secondary"] = [list(pair) for pair in analysis["secondary"]]
        arms = {name: arm.to_dict() for name, arm in self.arms.items()}
        return {"name": self.name, "title": self.title, **sections, "arms": arms}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Protocol:
        """Read plain data of :meth:`to_dict`; options that are newer have their defaults."""
        sections: dict[str, Any] = {k: _section(k, c, stored[k]) for k, c in SECTIONS.items()}
        arms = {name: Arm(**options) for name, options in stored["arms"].items()}
        return cls(str(stored["name"]), str(stored["title"]), arms=arms, **sections)

    def smoke(self) -> Protocol:
        """The same study in miniature: that all parts work, not what comes out."""
        budget = replace(self.budget, epochs=1, batch_size=16, evaluations=1, angles=1, steps=3)
        search = replace(self.search, trials=2, best=1, reruns=1)
        test = replace(self.test, seeds=2)
        title = f"{self.title} (smoke test)"
        return replace(
            self, name=f"{self.name}-smoke", title=title, budget=budget, search=search, test=test
        )


def read_protocol(path: str | Path) -> Protocol:
    """Read a protocol.

    Parameters
    ----------
    path : path
        A TOML file with `title`, `arms` (a list of names), the sections ``[data]``,
        ``[model]``, ``[budget]``, ``[search]``, ``[test]`` and ``[analysis]``, and a table
        ``[arm.NAME]`` for each arm that the package does not have. The study is named `name`,
        or as the file's folder.

    Raises
    ------
    ValueError
        If the file cannot be read, or something in it is unknown, missing or out of range;
        the message names the file, the section and what is allowed.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"protocol {str(path)!r} cannot be read: {reason}.") from None
    try:
        return _protocol(content, path)
    except ValueError as error:
        raise ValueError(f"protocol {str(path)!r}: {error}") from None


def _protocol(content: Mapping[str, Any], path: Path) -> Protocol:
    allowed = ("name", "title", "arms", "arm", *SECTIONS)
    for key in content:
        check_choice("key", key, allowed)
    for key in ("arms", *SECTIONS):
        if key not in content:
            raise ValueError(f"{key} is missing.")
    names, own = content["arms"], content.get("arm", {})
    if not _is_list_of_names(names) or not names:
        raise ValueError(f"arms={names!r} must be a list of names of arms.")
    if len(set(names)) < len(names):
        raise ValueError(f"arms={names!r} names the same arm twice.")
    for name in own:
        _check_name(name)
    sections: dict[str, Any] = {k: _section(k, cls, content[k]) for k, cls in SECTIONS.items()}
    name = str(content.get("name", path.resolve().parent.name))
    title = str(content.get("title", name))
    return Protocol(name, title, arms=make_arms(dict.fromkeys(names), own), **sections)


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(name, str) for name in value)


def _check_name(name: str) -> None:
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"arm {name!r}: names are of letters, digits, '-' and '_'.")


def _section(name: str, cls: type, given: Any) -> Any:
    try:
        if not isinstance(given, Mapping):
            raise ValueError(f"{given!r} is not a table.")
        allowed = {field.name: field for field in fields(cls)}
        for option in given:
            check_choice("option", option, allowed)
        for option, field in allowed.items():
            needed = field.default is MISSING and field.default_factory is MISSING
            if needed and option not in given:
                raise ValueError(f"{option} is missing.")
        return cls(**given)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"[{name}]: {error}") from None
