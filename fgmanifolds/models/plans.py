"""Plans of the residual networks: the paper's widths, and those of their sources."""

from __future__ import annotations

from dataclasses import dataclass

from fgmanifolds.models.resnet import Plan

__all__ = ["PLANS", "Family", "root_groups"]


@dataclass(frozen=True)
class Family:
    """A network in its widths.

    Attributes
    ----------
    plans : dict of str to Plan
        By ``"original"`` (the source's) and, where it prints them, ``"paper"``.
    options : tuple of str
        Options of :func:`build_model` that it takes besides ``widths``, ``stem``,
        ``shortcut`` and ``in_channels``.
    default : str
        Widths that are built if none are asked for.
    """

    plans: dict[str, Plan]
    options: tuple[str, ...] = ()
    default: str = "paper"


def _small(blocks: int, third: int, **changes: object) -> dict[str, Plan]:
    """Networks for CIFAR of He et al. 2016, section 4.2; here with `third` in stage 3."""
    fixed = {"block": "basic", "blocks": (blocks,) * 3, "stem": "small", "shortcut": "A"}
    paper, original = (24, 48, third), (16, 32, 64)
    return {
        name: Plan(**{**fixed, "middle": w, "outputs": w, "stem_width": w[0], **changes})  # type: ignore[arg-type]
        for name, w in (("paper", paper), ("original", original))
    }


def _eighteen() -> dict[str, Plan]:
    """ResNet-18: 72 channels in the first and second convolution blocks (the stem is one)."""
    widths = {"paper": (72, 144, 288, 576), "original": (64, 128, 256, 512)}
    return {
        name: Plan("basic", (2, 2, 2, 2), w, w, w[0], "large", "B") for name, w in widths.items()
    }


#: Channels of the bottlenecks of Tables IX and X, and of He et al. 2016.
BOTTLENECKS = {
    "paper": ((72, 144, 264, 528), (264, 528, 1032, 2064)),
    "original": ((64, 128, 256, 512), (256, 512, 1024, 2048)),
}


def _deep(blocks: tuple[int, ...]) -> dict[str, Plan]:
    return {
        name: Plan("bottleneck", blocks, middle, outputs, 64, "large", "B")
        for name, (middle, outputs) in BOTTLENECKS.items()
    }


def _squeezed(plans: dict[str, Plan], **squeezed: tuple[int, ...]) -> dict[str, Plan]:
    return {
        name: Plan(**{**vars(plan), "squeezed": squeezed[name]}) for name, plan in plans.items()
    }


def root_groups(roots: int) -> tuple[int, ...]:
    """Groups of the four stages of DeepRoots (Ioannou et al. 2017): halved from stage to stage."""
    return tuple(max(1, roots >> stage) for stage in range(4))


#: Widths of squeeze-and-excitation: Table X, and a sixteenth (Hu et al. 2018).
SQUEEZED = {"paper": (24, 48, 72, 144), "original": (16, 32, 64, 128)}

FIFTY, HUNDRED_AND_ONE = (3, 4, 6, 3), (3, 4, 23, 3)

_RESNEXT = Plan(
    "bottleneck",
    FIFTY,
    (128, 256, 512, 1024),
    (256, 512, 1024, 2048),
    64,
    "large",
    "B",
    groups=(32,) * 4,
)

#: The residual networks by name.
PLANS: dict[str, Family] = {
    "resnet18": Family(_eighteen()),
    "resnet20": Family(_small(3, 96)),
    "resnet44": Family(_small(7, 96)),
    "resnet50": Family(_deep(FIFTY)),
    "resnet101": Family(_deep(HUNDRED_AND_ONE)),
    "rcd110": Family(_small(18, 72)),
    "rsd110": Family(_small(18, 72, survival=0.5), ("survival", "draw_seed")),
    "se_resnet50": Family(_squeezed(_deep(FIFTY), **SQUEEZED)),
    "se_resnet101": Family(_squeezed(_deep(HUNDRED_AND_ONE), **SQUEEZED)),
    "se_resnet110": Family(_squeezed(_small(18, 72), paper=(2, 3, 5), original=(1, 2, 4))),
    "resnext50_32x4d": Family({"original": _RESNEXT}, ("wss", "split_seed"), "original"),
    "deeproots50": Family(_deep(FIFTY), ("roots", "wss", "split_seed"), "original"),
}
