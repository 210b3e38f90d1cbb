"""Figures, what is demanded of them, and the verdict that follows."""

from __future__ import annotations

from typing import Any

from fgmanifolds.verify.finding import Finding

__all__ = ["CODE", "PRINTED", "RIGHT", "Evidence"]

#: What a figure speaks of: the statement as printed, as it is right, and this package.
PRINTED, RIGHT, CODE = "printed", "right", "package"


class Evidence:
    """Collects figures with what is demanded of each, and draws the verdict.

    A figure speaks of the printed form, of the right one, or of the package. A form is
    confirmed if all its figures meet their demands. What the printed form is known to be (the
    exponential of another vector, say) is demanded of the right one: so a misprint of the
    misprint is noticed too.
    """

    def __init__(self) -> None:
        self.measured: dict[str, float] = {}
        self.demands: dict[str, str] = {}
        self._met = {PRINTED: True, RIGHT: True, CODE: True}

    def note(self, name: str, value: Any) -> None:
        """Keep a figure of which nothing is demanded.

        Parameters
        ----------
        name : str
        value : float
        """
        self.measured[name] = float(value)

    def _demand(self, form: str, name: str, value: Any, met: Any, text: str) -> None:
        self.measured[name] = float(value)
        demand = f"{form}: {text}, {'met' if met else 'not met'}"
        earlier = self.demands.get(name)
        self.demands[name] = f"{earlier}; {demand}" if earlier else demand
        self._met[form] &= bool(met)

    def below(self, form: str, name: str, value: Any, bound: Any) -> None:
        """Demand ``value <= bound``; nan does not meet it.

        Parameters
        ----------
        form : str
            What is held to it: PRINTED, RIGHT or CODE.
        name : str
        value, bound : float
        """
        self._demand(form, name, value, value <= bound, f"at most {bound:.6g}")

    def above(self, form: str, name: str, value: Any, bound: Any) -> None:
        """Demand ``value >= bound``.

        Parameters
        ----------
        form : str
            What is held to it: PRINTED, RIGHT or CODE.
        name : str
        value, bound : float
        """
        self._demand(form, name, value, value >= bound, f"at least {bound:.6g}")

    def between(self, form: str, name: str, value: Any, low: Any, high: Any) -> None:
        """Demand ``low <= value <= high``: an inequality, and that it is nearly an equality.

        Parameters
        ----------
        form : str
            What is held to it: PRINTED, RIGHT or CODE.
        name : str
        value, low, high : float
        """
        text = f"from {low:.6g} to {high:.6g}"
        self._demand(form, name, value, low <= value <= high, text)

    def near(self, form: str, name: str, value: Any, target: Any, within: Any) -> None:
        """Demand that a figure has a value, up to `within`.

        Parameters
        ----------
        form : str
            What is held to it: PRINTED, RIGHT or CODE.
        name : str
        value, target : float
        within : float
            Largest deviation.
        """
        text = f"{target:.6g} up to {within:.2g}"
        self._demand(form, name, value, abs(value - target) <= within, text)

    def met(self, form: str) -> bool:
        """Whether all demands on a form are met so far."""
        return self._met[form]

    def verdict(self, *, corrected: bool = False, beyond_repair: bool = False) -> str:
        """Verdict on the statement.

        Parameters
        ----------
        corrected : bool
            Whether there is a right form apart from the printed one.
        beyond_repair : bool
            Whether the right form says something else, so that the statement itself is false.
        """
        confirmed = self._met[RIGHT] and self._met[CODE]
        if self._met[PRINTED] and confirmed:
            return "holds"
        if beyond_repair:
            return "fails" if confirmed else "not confirmed"
        if self._met[PRINTED]:
            return "fails"
        return "holds as corrected" if corrected and confirmed else "fails"

    def finding(
        self,
        statement: str,
        claim: str,
        note: str = "",
        counterexample: Any = None,
        *,
        corrected: bool = False,
        beyond_repair: bool = False,
    ) -> Finding:
        """Finding with the verdict of :meth:`verdict`.

        Parameters
        ----------
        statement, claim, note : str
        counterexample : object, optional
        corrected, beyond_repair : bool
        """
        verdict = self.verdict(corrected=corrected, beyond_repair=beyond_repair)
        fails = verdict in ("fails", "not confirmed")
        return Finding(
            statement,
            claim,
            verdict,
            dict(self.measured),
            note,
            counterexample if fails else None,
            dict(self.demands),
        )
