"""Norms of a model's weights, in groups and as a whole, and bounds from them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from fgmanifolds.capacity.bounds import LayerNorms, generalization_bounds
from fgmanifolds.capacity.norms import Norms, concatenated_norms
from fgmanifolds.capacity.shapes import LayerShape
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.validation import check_number

__all__ = ["BoundRecorder", "layer_norms", "layer_shapes", "margin_quantile", "model_bounds"]


def layer_norms(model: nn.Module, adapter: POMAdapter | None = None) -> list[LayerNorms]:
    """Norms of every weight matrix of a model.

    Parameters
    ----------
    model : nn.Module
    adapter : POMAdapter, optional
        Its POMs are the groups. Layers that it leaves out, and all without an
        adapter, have one group: all kernels of the layer side by side (or the matrix).

    Returns
    -------
    list of LayerNorms
        In the order of the modules; convolutions and linear layers.

    Raises
    ------
    ValueError
        If the model has no such layer, or a weight is not finite.
    """
    found = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            layer = adapter.layers.get(name) if adapter is not None else None
            found.append(_layer_norms(name, module.weight.detach(), layer))
    if not found:
        raise ValueError(f"{type(model).__name__} has no convolution and no linear layer.")
    return found


def _layer_norms(name: str, weight: Tensor, layer: POMLayer | None) -> LayerNorms:
    if not bool(torch.isfinite(weight).all()):
        raise ValueError(f"layer {name!r} has weights that are not finite.")
    matrix = weight.double().flatten(1).cpu().numpy()
    whole = concatenated_norms(matrix[None])
    groups = _kernels_in_one(weight) if layer is None else _pom_norms(layer)
    return LayerNorms(name, groups, whole, len(matrix))


def _kernels_in_one(weight: Tensor) -> Norms:
    components = weight.double().cpu().numpy()
    if components.ndim == 2 or int(np.prod(components.shape[2:])) == 1:
        return concatenated_norms(components.reshape(1, *components.shape[:2]))
    kernels = components.reshape(-1, components.shape[2], int(np.prod(components.shape[3:])))
    return concatenated_norms(kernels, np.zeros(len(kernels), dtype=int))


def _pom_norms(layer: POMLayer) -> Norms:
    """Norms of each POM; components of different shapes count as blocks of one matrix."""
    frobenius2 = np.zeros(layer.view.n_poms)
    spectral2, rows = np.zeros_like(frobenius2), np.zeros_like(frobenius2)
    for batch in layer.view.batches:
        components = batch.read(layer.weight.detach())
        poms = layer.view.pom[batch.members].cpu().numpy()
        present, inverse = np.unique(poms, return_inverse=True)
        norms = concatenated_norms(_numpy(components), inverse)
        frobenius2[present] += norms.frobenius**2
        spectral2[present] = np.maximum(spectral2[present], norms.spectral**2)
        rows[present] += norms.rows
    return Norms(np.sqrt(frobenius2), np.sqrt(spectral2), rows)


def _numpy(components: Tensor) -> Array:
    return components.double().cpu().numpy()


def model_bounds(
    model: nn.Module,
    n_samples: int,
    adapter: POMAdapter | None = None,
    *,
    margin: float = 1.0,
    input_norm: float = 1.0,
) -> pd.DataFrame:
    """Generalization bounds of a model; see :func:`fgmanifolds.capacity.generalization_bounds`.

    Parameters
    ----------
    model : nn.Module
    n_samples : int
        Number of training samples.
    adapter : POMAdapter, optional
        Without it every kernel is a group.
    margin : float
        Above 0.
    input_norm : float
        Largest Euclidean norm of an input.
    """
    return generalization_bounds(
        layer_norms(model, adapter), n_samples, margin=margin, input_norm=input_norm
    )


class BoundRecorder:
    """Record the bounds of a model while it trains: call it once an epoch.

    Parameters
    ----------
    model : nn.Module
    n_samples : int
        Number of training samples.
    adapter : POMAdapter, optional
    input_norm : float
        Largest Euclidean norm of an input.

    Attributes
    ----------
    history : list of dict
        A row for each call: ``margin``, and decimal logarithms of the bounds, as
        ``bound_layers_bartlett_2017`` and ``bound_groups_bartlett_2017``.
    """

    def __init__(
        self,
        model: nn.Module,
        n_samples: int,
        adapter: POMAdapter | None = None,
        *,
        input_norm: float = 1.0,
    ) -> None:
        self._model, self._n_samples, self._adapter = model, n_samples, adapter
        self._input_norm = input_norm
        self.history: list[dict[str, float]] = []

    def __call__(self, margin: float = 1.0) -> dict[str, float]:
        """Add a row; the bounds are nan where the margin is not positive, as none exists."""
        bounds = model_bounds(
            self._model,
            self._n_samples,
            self._adapter,
            margin=margin if margin > 0 else 1.0,
            input_norm=self._input_norm,
        )
        row = {"margin": margin}
        for column, values in bounds.items():
            for name, value in values.items():
                key = f"bound_{column}_{name}".lower().replace(" ", "_")
                row[key] = float(value) if margin > 0 else math.nan
        self.history.append(row)
        return row


def margin_quantile(scores: Tensor, labels: Tensor, quantile: float = 0.05) -> float:
    """Quantile of the margins: score of the true class less the largest of the others.

    Parameters
    ----------
    scores : Tensor of shape (N, classes)
        Outputs of a classifier, at least two classes.
    labels : Tensor of shape (N,)
        Numbers of the true classes.
    quantile : float
        In [0, 1]; 0 is the smallest margin.

    Returns
    -------
    float
        Below 0 when more than that share of the samples is misclassified; no
        bound exists then.
    """
    check_number("quantile", quantile, low=0, high=1)
    if scores.ndim != 2 or scores.shape[1] < 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"scores has shape {tuple(scores.shape)} and labels {tuple(labels.shape)}; "
            "(N, classes) with two classes at least and (N,) are needed."
        )
    true = scores.gather(1, labels[:, None])
    others = scores.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)
    return float(torch.quantile((true - others).double().flatten(), quantile))


def layer_shapes(model: nn.Module, images: Tensor) -> tuple[LayerShape, ...]:
    """Shapes of a model's layers with the sizes of their output maps, for Proposition 1.

    Parameters
    ----------
    model : nn.Module
        Its convolutions of two dimensions, with square kernels, and linear layers are taken.
    images : Tensor of shape (N, C, H, W)
        Any input of the size that is asked about; the model runs on it once.

    Returns
    -------
    tuple of LayerShape
        In the order of the modules.

    Raises
    ------
    ValueError
        If the model has no such layer, or a kernel or a map is not square.
    """
    found: dict[str, LayerShape] = {}
    hooks = [
        module.register_forward_hook(
            lambda m, _, out, name=name: found.update(_shape(name, m, out))
        )
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    if not hooks:
        raise ValueError(f"{type(model).__name__} has no Conv2d and no Linear layer.")
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(images)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return tuple(found[name] for name, _ in model.named_modules() if name in found)


def _shape(name: str, module: nn.Module, output: Tensor) -> dict[str, LayerShape]:
    if isinstance(module, nn.Linear):
        return {name: LayerShape(name, module.in_features, module.out_features, 1, 1)}
    assert isinstance(module, nn.Conv2d)
    outputs, inputs, *kernel = module.weight.shape
    size = output.shape[-2:]
    if kernel[0] != kernel[1] or size[0] != size[1]:
        raise ValueError(
            f"layer {name!r} has kernels of {kernel[0]} x {kernel[1]} and maps of "
            f"{size[0]} x {size[1]}; both must be square."
        )
    return {name: LayerShape(name, inputs, outputs, kernel[0], size[0])}
