"""Step rules of an optimizer's groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fgmanifolds.steps import StepRule, as_rule

__all__ = ["RuleBook"]


class RuleBook:
    """Rules by name: groups hold names, which are plain data, and the rules are kept here."""

    def __init__(self) -> None:
        self._rules: dict[str | None, StepRule] = {}

    def name_of(self, rule: str | StepRule | None) -> str | None:
        """Take a rule in, and give its name.

        Raises
        ------
        ValueError
            If the rule is unknown, or another one bears its name.
        """
        if isinstance(rule, str) and rule in self._rules:
            return rule
        found = as_rule(rule)
        known = self._rules.setdefault(found.name, found)
        if type(known) is not type(found):
            raise ValueError(f"two rules bear the name {found.name!r}; rename one.")
        return found.name

    def of(self, group: Mapping[str, Any]) -> StepRule:
        """Rule of a group."""
        name = group["rule"]
        if name not in self._rules:
            self.name_of(name)
        return self._rules[name]
