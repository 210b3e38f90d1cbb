"""Learning rates r(t) that satisfy the conditions of eq. (4), and those that do not.

Eq. (4) demands ``sum r(t) = inf``, so that the iterates can travel any distance,
and ``sum r(t)^2 < inf``, so that the noise dies out. The proof of Theorem 2 also
needs ``0 < r(t) <= 1``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fgmanifolds.validation import check_integer, check_number

__all__ = [
    "Schedule",
    "check_schedule",
    "constant",
    "cosine",
    "robbins_monro",
    "step_decay",
]

#: Steps between which the decay of an arbitrary schedule is measured.
TAIL = (2**40, 2**50)


@dataclass(frozen=True)
class Schedule:
    """A learning rate r(t) of the step number t = 0, 1, ...

    Attributes
    ----------
    rate : callable
        Gives r(t).
    text : str
        How it was made.
    objection : str
        Why it does not satisfy eq. (4); empty if it does.
    """

    rate: Callable[[int], float]
    text: str
    objection: str = ""

    def __call__(self, step: int) -> float:
        """Learning rate of a step."""
        return self.rate(step)

    def __repr__(self) -> str:
        return self.text


def robbins_monro(a: float = 0.5, b: float = 10.0, power: float = 0.75) -> Schedule:
    """Polynomial decay ``r(t) = a / (1 + t / b)^power`` (Robbins & Monro 1951).

    Parameters
    ----------
    a : float
        First step, in (0, 1].
    b : float
        Number of steps before the decay sets in, positive.
    power : float
        In (1/2, 1]: slower, and the noise does not die out; faster, and the
        iterates may stop before they arrive.

    Raises
    ------
    ValueError
        If eq. (4) is not satisfied.
    """
    check_number("a", a, low=0.0, high=1.0, open_low=True)
    check_number("b", b, low=0.0, open_low=True)
    check_number("power", power, low=0.5, high=1.0, open_low=True)
    return Schedule(
        lambda t: a / (1 + t / b) ** power, f"robbins_monro(a={a:g}, b={b:g}, power={power:g})"
    )


def _refused(schedule: Schedule, check: bool) -> Schedule:
    if check:
        raise ValueError(
            f"{schedule} does not satisfy eq. (4): {schedule.objection}. Use robbins_monro, or "
            "check=False to go without the guarantee of Theorem 2."
        )
    return schedule


def constant(a: float, *, check: bool = True) -> Schedule:
    """Constant rate ``r(t) = a``. It breaks eq. (4): refused unless ``check=False``.

    Parameters
    ----------
    a : float
        Above 0.
    check : bool
    """
    check_number("a", a, low=0.0, open_low=True)
    reason = "the sum of r(t)^2 is infinite, so that the noise never dies out"
    return _refused(Schedule(lambda t: a, f"constant({a:g})", reason), check)


def step_decay(a: float, factor: float, every: int, *, check: bool = True) -> Schedule:
    """Rate multiplied by `factor` after `every` steps. Refused unless ``check=False``.

    Parameters
    ----------
    a : float
        First rate.
    factor : float
        In (0, 1).
    every : int
    check : bool
    """
    check_number("a", a, low=0.0, open_low=True)
    check_number("factor", factor, low=0.0, high=math.nextafter(1.0, 0.0), open_low=True)
    check_integer("every", every, low=1)
    reason = "the sum of r(t) is finite, so that the iterates stop at a bounded distance"
    schedule = Schedule(
        lambda t: a * factor ** (t // every), f"step_decay({a:g}, {factor:g}, {every})", reason
    )
    return _refused(schedule, check)


def cosine(a: float, steps: int, *, check: bool = True) -> Schedule:
    """Half a cosine from `a` to 0 over `steps`. Refused unless ``check=False``.

    Parameters
    ----------
    a : float
        Above 0.
    steps : int
        At least 1.
    check : bool
    """
    check_number("a", a, low=0.0, open_low=True)
    check_integer("steps", steps, low=1)

    def rate(t: int) -> float:
        return 0.5 * a * (1 + math.cos(math.pi * min(t / steps, 1.0)))

    reason = "r(t) is 0 after finitely many steps, so that the sum of r(t) is finite"
    return _refused(Schedule(rate, f"cosine({a:g}, {steps})", reason), check)


def check_schedule(
    lr: float | Schedule | Callable[[int], float], *, check: bool = True
) -> Schedule:
    """Make a schedule of a number or a function, and see that it satisfies eq. (4).

    Parameters
    ----------
    lr : float, Schedule or callable
        A callable is judged by its decay between t = 2^40 and 2^50, where a
        power of t between 1/2 and 1 is demanded, and by 0 < r(t) <= 1 at powers of 2.
    check : bool
        Whether to refuse one that does not.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If it breaks eq. (4) and `check` is true.
    """
    if isinstance(lr, Schedule):
        return _refused(lr, check) if lr.objection else lr
    if callable(lr):
        schedule = Schedule(lr, getattr(lr, "__name__", repr(lr)), _objection(lr) if check else "")
        return _refused(schedule, check) if schedule.objection else schedule
    if isinstance(lr, bool) or not isinstance(lr, int | float):
        raise TypeError(f"lr={lr!r}: a number, a schedule or a function of the step is needed.")
    return constant(lr, check=check)


def _objection(rate: Callable[[int], float]) -> str:
    values = [float(rate(2**k)) for k in range(51)]
    if not all(math.isfinite(value) for value in values) or min(values) < 0:
        return "r(t) must be a non-negative number at every step"
    if max(values) > 1:
        return f"r(t) reaches {max(values):g}, and the proof needs r(t) <= 1"
    first, last = (float(rate(t)) for t in TAIL)
    if first <= 0 or last <= 0:
        return "r(t) vanishes, so that the sum of r(t) is finite"
    power = math.log(first / last) / math.log(TAIL[1] / TAIL[0])
    if power <= 0.5:
        return f"it decays like t^-{max(power, 0):.2g}, so that the sum of r(t)^2 is infinite"
    # 1 / (t log t), whose sum is infinite, measures 1.03 here.
    if power > 1.05:
        return f"it decays like t^-{power:.2g}, so that the sum of r(t) is finite"
    return ""
