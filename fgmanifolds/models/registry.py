"""Models by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from fgmanifolds.models.cnn import cnn
from fgmanifolds.models.mobilenet import MobileNetV2
from fgmanifolds.models.plans import PLANS, Family, root_groups
from fgmanifolds.models.resnet import Plan, ResNet, StochasticDepthResNet
from fgmanifolds.validation import check_bool, check_choice, check_integer, check_number

__all__ = ["MODELS", "build_model"]

_COMMON = ("widths", "stem", "shortcut", "pool")

#: Options of each model by its name, besides ``num_classes`` and ``in_channels``.
MODELS: dict[str, tuple[str, ...]] = {
    "cnn": ("width",),
    **{name: (*_COMMON, *family.options) for name, family in PLANS.items()},
    "mobilenet_v2": ("widths", "stem", "wss"),
}

#: What an option may be; those that are not here are checked where they are used.
CHOICES = {"stem": ("large", "small"), "shortcut": ("A", "B")}


def build_model(name: str, num_classes: int, *, in_channels: int = 3, **options: Any) -> nn.Module:
    """Build a network of the paper.

    Parameters
    ----------
    name : str
        One of :data:`MODELS`, which lists the options that each takes: resnet18,
        resnet20, resnet44, resnet50, resnet101, rcd110 and rsd110 (110 layers of constant
        and of stochastic depth), se_resnet50, se_resnet101, se_resnet110, resnext50_32x4d,
        mobilenet_v2, deeproots50, and cnn, three convolutions for tiny images.
    num_classes, in_channels : int
        Numbers of classes, at least 2, and of image channels.
    widths : {"paper", "original", "quarter"}
        Channels in multiples of 24 (Appendix C.C), those of the source, or half of the
        default ones, which is a quarter of the weights (Appendix D.B). mobilenet_v2,
        resnext50_32x4d and deeproots50 are original unless asked for otherwise; for the
        first two the paper prints no widths.
    width : int
        Channels of the first convolution of cnn, 24 unless asked for otherwise.
    stem : {"large", "small"}
        7 x 7 and a pooling, or 3 x 3 at full size, for images of 32 pixels.
    shortcut : {"A", "B"}
        Subsampling and zeros, or 1 x 1 convolutions, where the shape changes.
    pool : bool
        Whether shortcuts A take means over 2 x 2 pixels.
    survival : float
        Of the last block of rsd110, in (0, 1]; `draw_seed` is that of the draws.
    roots : int
        Groups of the first stage of deeproots50, a power of 2; halved from stage to stage.
    wss : bool
        Weight splitting: inputs of each output of a grouped convolution drawn at random,
        by `split_seed`, rather than grouped. Depthwise convolutions do not change.

    Returns
    -------
    nn.Module
        From images ``[N, in_channels, H, W]`` to scores ``[N, num_classes]``.

    Raises
    ------
    ValueError
        If there is no such model, it has no such option, or a value is not allowed.
    """
    check_choice("name", name, MODELS)
    check_integer("num_classes", num_classes, low=2)
    check_integer("in_channels", in_channels, low=1)
    for option in options:
        check_choice(f"option of {name}", option, MODELS[name])
    for option, allowed in CHOICES.items():
        if option in options:
            check_choice(option, options[option], allowed)
    for option in ("wss", "pool"):
        check_bool(option, options.get(option, False))
    if name == "cnn":
        check_integer("width", options.get("width", 1), low=1)
        return cnn(in_channels, num_classes, **options)
    if name == "mobilenet_v2":
        widths = options.get("widths", "original")
        check_choice("widths", widths, ("original", "quarter"))
        stem = options.get("stem", "large")
        return MobileNetV2(in_channels, num_classes, stem, 2 if widths == "quarter" else 1)
    plan = _plan(PLANS[name], options)
    kind = StochasticDepthResNet if plan.survival < 1 else ResNet
    return kind(plan, in_channels, num_classes)


def _plan(family: Family, options: Mapping[str, Any]) -> Plan:
    widths = options.get("widths", family.default)
    check_choice("widths", widths, (*family.plans, "quarter"))
    plan = family.plans.get(widths) or family.plans[_base(family)].halved()
    direct = ("stem", "shortcut", "pool", "survival", "draw_seed")
    plan = replace(plan, **{key: options[key] for key in direct if key in options})
    if "survival" in options:
        check_number("survival", plan.survival, low=0, high=1, open_low=True)
    check_integer("draw_seed", plan.draw_seed, low=0)
    if "roots" in family.options:
        plan = replace(plan, groups=_groups(options.get("roots", 4), plan))
    if options.get("wss", False):
        seed = options.get("split_seed", 0)
        check_integer("split_seed", seed, low=0)
        plan = replace(plan, split_seed=seed)
    return plan


def _base(family: Family) -> str:
    """The widths that a quarter is one of: the paper's where it prints some."""
    return "paper" if "paper" in family.plans else "original"


def _groups(roots: int, plan: Plan) -> tuple[int, ...]:
    check_integer("roots", roots, low=1)
    if roots & (roots - 1):
        raise ValueError(f"roots={roots} must be a power of 2.")
    groups = root_groups(roots)
    for group, width in zip(groups, plan.middle, strict=True):
        if width % group:
            raise ValueError(
                f"roots={roots} cuts a layer of {width} channels into {group} groups, which does "
                "not go; take fewer, or widths='original'."
            )
    return groups
