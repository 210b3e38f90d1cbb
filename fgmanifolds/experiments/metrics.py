"""What is measured in each epoch of a run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fgmanifolds.capacity import margin_quantile
from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.torch.ops.manifolds import KINDS
from fgmanifolds.torch.poms import pom_norms

__all__ = ["StepRecord", "collection_metrics"]


class StepRecord:
    """Sums over the steps of an epoch: loss, error, gradient norms, denominators."""

    def __init__(self) -> None:
        self._images = self._steps = 0
        self._loss = self._wrong = self._gradient = 0.0
        self._pom_norm = self._denominator = 0.0
        self._largest = math.nan
        self._scores: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(
        self,
        scores: Tensor,
        labels: Tensor,
        loss: Tensor,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Take in one step that `optimizer` has just made.

        Parameters
        ----------
        scores : Tensor of shape [N, classes]
        labels : Tensor of shape [N]
        loss : Tensor
        model : nn.Module
        optimizer : Optimizer
        """
        self._images += len(labels)
        self._steps += 1
        self._scores.append(scores)
        self._labels.append(labels)
        self._loss += float(loss) * len(labels)
        self._wrong += float((scores.argmax(1) != labels).sum())
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        self._gradient += float(torch.nn.utils.get_total_norm(gradients))
        if isinstance(optimizer, FGSGD):
            norms, denominators = zip(*optimizer.pom_statistics().values(), strict=True)
            g = torch.cat(denominators)
            self._pom_norm += float(torch.cat(norms).mean())
            self._denominator += float(g.mean())
            largest = float(g.max())
            self._largest = largest if math.isnan(self._largest) else max(self._largest, largest)

    def margin(self) -> float:
        """Margin that 95% of the images of the epoch had when they were trained on."""
        return margin_quantile(torch.cat(self._scores), torch.cat(self._labels), 0.05)

    def means(self) -> dict[str, float]:
        """The row's part that comes from training steps; nan where there is no POM."""
        on_poms = not math.isnan(self._largest)
        return {
            "train_loss": self._loss / self._images,
            "train_error": 100.0 * self._wrong / self._images,
            "gradient_norm": self._gradient / self._steps,
            "pom_gradient_norm": self._pom_norm / self._steps if on_poms else math.nan,
            "denominator_mean": self._denominator / self._steps if on_poms else math.nan,
            "denominator_max": self._largest,
        }


def collection_metrics(adapter: POMAdapter | None) -> dict[str, float]:
    """Residual by manifold, range of the radii, Frobenius norms of the POMs; nan without POMs."""
    residuals = {} if adapter is None else adapter.residuals()
    names = {**dict.fromkeys(KINDS), **residuals}
    row = {f"residual_{name}": residuals.get(name, math.nan) for name in names}
    columns = ("radius_min", "radius_mean", "radius_max", "group_norm_mean", "group_norm_max")
    if adapter is None:
        return {**row, **dict.fromkeys(columns, math.nan)}
    radius = torch.cat([layer.radius[~layer.is_euclidean] for layer in adapter.layers.values()])
    norms = torch.cat([pom_norms(layer, layer.weight) for layer in adapter.layers.values()])
    if not len(radius):
        radius = torch.tensor([math.nan])
    values = (radius.min(), radius.mean(), radius.max(), norms.mean(), norms.max())
    return {**row, **dict(zip(columns, map(float, values), strict=True))}
