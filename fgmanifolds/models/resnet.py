"""Residual networks of all kinds from one plan (He, Huang, Hu, Xie, Ioannou)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from fgmanifolds.models.blocks import BasicBlock, Bottleneck, ResidualBlock, conv

__all__ = ["Plan", "ResNet", "StochasticDepthResNet"]

BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
}


@dataclass(frozen=True)
class Plan:
    """What a residual network is made of; every tuple has an entry for each stage.

    Attributes
    ----------
    block : {"basic", "bottleneck"}
    blocks, middle, outputs : tuple of int
        Number of blocks, channels inside of a block, channels after it.
    stem_width : int
        Channels of the first convolution.
    stem : {"large", "small"}
        7 x 7 with stride 2 and a 3 x 3 maximum with stride 2, or 3 x 3.
    shortcut : {"A", "B"}
        Without parameters, or a 1 x 1 convolution, where the shape changes.
    pool : bool
        Option A by means rather than by subsampling.
    squeezed : tuple of int
        Width inside of squeeze-and-excitation; empty: none.
    groups : tuple of int
        Groups of the 3 x 3 convolutions of bottlenecks; empty: 1.
    survival : float
        Probability p_L that the last block is there in a training pass; falls linearly
        from 1, eq. (4) of Huang et al. 2016. 1: all are there, always.
    split_seed : int or None
        Seed of weight splitting in place of groups (WSS).
    draw_seed : int
        Seed of stochastic depth.
    """

    block: str
    blocks: tuple[int, ...]
    middle: tuple[int, ...]
    outputs: tuple[int, ...]
    stem_width: int
    stem: str
    shortcut: str
    pool: bool = False
    squeezed: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    survival: float = 1.0
    split_seed: int | None = None
    draw_seed: int = 0

    def halved(self) -> Plan:
        """Half of all widths, and so about a quarter of the weights."""

        def half(widths: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(max(1, round(width / 2)) for width in widths)

        return replace(
            self,
            middle=half(self.middle),
            outputs=half(self.outputs),
            squeezed=half(self.squeezed),
            stem_width=self.stem_width // 2,
        )


class ResNet(nn.Module):
    """Residual network after a :class:`Plan`.

    Parameters
    ----------
    plan : Plan
    channels, classes : int
        Numbers of image channels and of classes.
    """

    def __init__(self, plan: Plan, channels: int, classes: int) -> None:
        super().__init__()
        large = plan.stem == "large"
        self.plan = plan
        self.conv1 = conv(channels, plan.stem_width, 7 if large else 3, 2 if large else 1)
        self.bn1 = nn.BatchNorm2d(plan.stem_width)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if large else nn.Identity()
        inputs = plan.stem_width
        for stage in range(len(plan.blocks)):
            self.add_module(f"layer{stage + 1}", self._stage(plan, stage, inputs))
            inputs = plan.outputs[stage]
        self.classifier = nn.Linear(inputs, classes)
        self.apply(_initialise)

    @staticmethod
    def _stage(plan: Plan, stage: int, inputs: int) -> nn.Sequential:
        blocks = nn.Sequential()
        for number in range(plan.blocks[stage]):
            seed = None if plan.split_seed is None else plan.split_seed + 1000 * stage + number
            block = BLOCKS[plan.block](
                inputs,
                plan.middle[stage],
                plan.outputs[stage],
                stride=2 if stage > 0 and number == 0 else 1,
                shortcut=plan.shortcut,
                pool=plan.pool,
                squeezed=plan.squeezed[stage] if plan.squeezed else 0,
                groups=plan.groups[stage] if plan.groups else 1,
                split_seed=seed,
            )
            blocks.append(block)
            inputs = plan.outputs[stage]
        return blocks

    def residual_blocks(self) -> list[ResidualBlock]:
        """All blocks, from the first to the last."""
        return [module for module in self.modules() if isinstance(module, ResidualBlock)]

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, channels, H, W]`` to scores ``[N, classes]``."""
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        for stage in range(len(self.plan.blocks)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        scores: Tensor = self.classifier(x.mean((2, 3)))
        return scores


class StochasticDepthResNet(ResNet):
    """Residual network whose blocks are left out at random in training (Huang et al. 2016).

    Block l of L is there with probability p_l = 1 - l / L (1 - p_L), eq. (4) there:
    one draw a block and minibatch, from a stream of its own that follows the number of
    training passes, which is part of the state. Parameters as in :class:`ResNet`.
    """

    def __init__(self, plan: Plan, channels: int, classes: int) -> None:
        super().__init__(plan, channels, classes)
        blocks = self.residual_blocks()
        for number, block in enumerate(blocks, 1):
            block.survival = 1.0 - number / len(blocks) * (1.0 - plan.survival)
        self._passes = 0

    def _draw_depth(self) -> None:
        rng = np.random.default_rng([self.plan.draw_seed, self._passes])
        blocks = self.residual_blocks()
        for block, draw in zip(blocks, rng.random(len(blocks)), strict=True):
            block.open = bool(draw < block.survival)
        self._passes += 1

    def forward(self, x: Tensor) -> Tensor:
        """See :class:`ResNet`."""
        if self.training:
            self._draw_depth()
        return super().forward(x)

    def get_extra_state(self) -> Tensor:
        """Number of training passes, which the draws follow."""
        return torch.tensor(self._passes)

    def set_extra_state(self, state: Tensor) -> None:
        """See :meth:`get_extra_state`."""
        self._passes = int(state)


def _initialise(module: nn.Module) -> None:
    """Normal weights of He et al. 2015, by the outputs, as all of the sources draw them."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
