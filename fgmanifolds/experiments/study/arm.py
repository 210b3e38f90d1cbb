"""Arms of a study: an optimizer, its collection of POMs, and the ranges of its search."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.steps import GRADIENT_NORMS, RULES
from fgmanifolds.torch.schemes import POM_MODES, SCHEMES
from fgmanifolds.validation import check_choice, check_choices, check_number

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["OPTIMIZERS", "RATES", "STARTS", "Arm", "make_arms", "preset_arms"]

OPTIMIZERS = ("sgd", "adam", "muon", "fgsgd", "fgadam", "geoopt", "pogo")

#: Where the weights start: as the model draws them, or on the arm's POMs.
STARTS = ("model", "poms")

#: Options that may be ranges; each is one axis of the search, in this order.
RATES = ("lr", "lr_euclidean", "weight_decay")

#: Options for which a file writes "none" where None is meant.
OPTIONAL = ("rule", "min_std", "radius")

Range = tuple[float, float]


@dataclass(frozen=True)
class Arm:
    """What one arm of a study trains with.

    Attributes
    ----------
    name, title : str
        The title is what reports show.
    optimizer : {"sgd", "adam", "muon", "fgsgd", "fgadam", "geoopt", "pogo"}
        Of the weights of convolutions and linear layers that are not excluded. All other
        parameters are trained by SGD with momentum, or by Adam beside "adam" and "fgadam".
        The last two are other packages' (extra 'peers'), for each kernel on a Stiefel manifold.
    lr, lr_euclidean, weight_decay : (float, float)
        Ranges of the search, logarithmic: the rate of those weights, that of all other
        parameters, and the weight decay of both. A range of one number is kept.
    momentum : float
        Of SGD, Muon and FGSGD.
    start : {"model", "poms"}
        Where the weights start in arms without POMs: as the model draws them, or where the
        POMs of `scheme`, `manifolds`, `radius` and `fan_out` would start.
    scheme, manifolds, pom, radius, fan_out, min_std, exclude
        As :class:`~fgmanifolds.torch.POMAdapter` takes them.
    gains : bool
        Whether each kernel has a gain (:meth:`~fgmanifolds.torch.POMAdapter.add_gains_`), at
        the rate of all other parameters. Only on POMs.
    radii : {"spreads", "fixed"}
        Whether radii follow the spread of features once an epoch, or stay.
    rule, gradient_norm, momentum_space
        As :class:`~fgmanifolds.torch.POMOptimizer` takes them.
    """

    name: str
    optimizer: str
    lr: Range
    lr_euclidean: Range
    weight_decay: Range = (5e-4, 5e-4)
    title: str = ""
    momentum: float = 0.9
    start: str = "model"
    scheme: str = "pio"
    manifolds: tuple[str, ...] = ("sphere", "oblique", "stiefel", "euclidean")
    pom: str = "set"
    radius: float | str | None = None
    gains: bool = False
    radii: str = "spreads"
    fan_out: str = "glorot"
    min_std: float | None = 1.0
    exclude: tuple[str, ...] = ("classifier",)
    rule: str | None = "corollary2"
    gradient_norm: str = "past"
    momentum_space: str = "ambient"

    def __post_init__(self) -> None:
        for rate in RATES:
            object.__setattr__(self, rate, _range(rate, getattr(self, rate)))
        for name in ("manifolds", "exclude"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "title", self.title or self.name)
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("start", STARTS),
            ("scheme", SCHEMES),
            ("pom", POM_MODES),
            ("radii", ("spreads", "fixed")),
            ("rule", RULES),
            ("gradient_norm", GRADIENT_NORMS),
        ):
            check_choice(name, getattr(self, name), allowed)
        check_choices("manifolds", self.manifolds, COMPONENTS)
        check_number("momentum", self.momentum, low=0, high=0.999)
        check_choice("gains", self.gains, (False, True))
        if self.gains and not self.on_poms:
            raise ValueError(
                f"gains=True needs kernels that stay on POMs: optimizer='fgsgd' or 'fgadam', not "
                f"{self.optimizer!r}."
            )

    @property
    def on_poms(self) -> bool:
        """Whether its weights stay on POMs."""
        return self.optimizer in ("fgsgd", "fgadam")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


def _range(name: str, value: Any) -> Range:
    low, high = value if isinstance(value, list | tuple) and len(value) == 2 else (value, value)
    check_number(name, low, low=0, open_low=name != "weight_decay" or low != high)
    check_number(name, high, low=float(low))
    return float(low), float(high)


@cache
def _presets() -> dict[str, dict[str, Any]]:
    text = (files("fgmanifolds.experiments.study") / "arms.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def preset_arms() -> dict[str, Arm]:
    """The arms that come with the package, by name."""
    return make_arms(_presets(), {})


def make_arms(names: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]) -> dict[str, Arm]:
    """Arms by name: those of a protocol, then those of the package.

    Parameters
    ----------
    names : iterable of str
        The arms that are wanted, in order.
    own : mapping of str to mapping
        Tables of a protocol: options, and with ``extends`` the arm whose options they change
        (the package's, if it has the same name).

    Raises
    ------
    ValueError
        If an arm or an option is unknown, an option is out of range or missing, or arms
        extend each other in a circle; the message names the arm.
    """
    return {name: _make(name, _options(name, own, ())) for name in names}


def _options(
    name: str, own: Mapping[str, Mapping[str, Any]], above: tuple[str, ...]
) -> dict[str, Any]:
    known = {**_presets(), **own}
    if name in above:
        raise ValueError(f"arm {name!r} extends itself: {' -> '.join((*above, name))}.")
    check_choice("arm" if not above else f"arm {above[-1]!r}: extends", name, known)
    options = dict(known[name])
    base = options.pop("extends", None)
    if base is None:
        return options
    if base == name and name in own:
        inherited = _options(base, {}, above)
    else:
        inherited = _options(base, own, (*above, name))
    inherited.pop("title", None)
    return {**inherited, **options}


def _make(name: str, options: Mapping[str, Any]) -> Arm:
    allowed = {field.name: field for field in fields(Arm) if field.name != "name"}
    try:
        for option in options:
            check_choice("option", option, allowed)
        for option, field in allowed.items():
            if field.default is MISSING and option not in options:
                raise ValueError(f"{option} is missing.")
        plain: dict[str, Any] = {
            k: None if k in OPTIONAL and v == "none" else v for k, v in options.items()
        }
        return Arm(name=name, **plain)
    except (TypeError, ValueError) as error:
        raise ValueError(f"arm {name!r}: {error}") from None
