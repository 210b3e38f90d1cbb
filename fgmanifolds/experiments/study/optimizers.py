"""Optimizers of an arm: of the weights that POMs can hold, and of all other parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fgmanifolds.experiments.study.arm import Arm
from fgmanifolds.experiments.study.peers import geoopt_at_radii, pogo_at_radii
from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter

__all__ = ["Rates", "make_optimizers"]


@dataclass(frozen=True)
class Rates:
    """A point of the search.

    Attributes
    ----------
    lr, lr_euclidean, weight_decay : float
    """

    lr: float
    lr_euclidean: float
    weight_decay: float


def make_optimizers(
    arm: Arm, model: nn.Module, rates: Rates, seed: int
) -> tuple[POMAdapter | None, list[Optimizer]]:
    """Put the weights of a model where the arm starts, and make its optimizers.

    Parameters
    ----------
    arm : Arm
    model : nn.Module
        Its weights are changed by arms on POMs, and by those that start on them.
    rates : Rates
    seed : int
        Of sets and points.

    Returns
    -------
    POMAdapter or None
        None if the weights do not stay on POMs.
    list of Optimizer

    Raises
    ------
    ValueError
        If an option does not fit the model.
    """
    adapter = _adapter(arm, model, seed)
    peer = arm.optimizer in _PEER_MAKERS
    if arm.on_poms or arm.start == "poms" or peer:
        adapter.initialize_()
    if arm.gains:
        adapter.add_gains_()
    weights = [layer.weight for layer in adapter.layers.values()]
    known = {id(weight) for weight in weights}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    if arm.on_poms:
        return adapter, [_POM_MAKERS[arm.optimizer](arm, adapter, others, rates)]
    adapter.detach()
    if peer:
        made = _PEER_MAKERS[arm.optimizer](adapter, rates.lr, arm.momentum)
        return None, [made, *(_sgd(arm, [], others, rates) if others else [])]
    return None, _PLAIN_MAKERS[arm.optimizer](arm, weights, others, rates)


def _adapter(arm: Arm, model: nn.Module, seed: int) -> POMAdapter:
    """The adapter of an arm; for one that is never on POMs, what names its first group.

    Which weights these are depends on the layers that are excluded alone.
    """
    if arm.optimizer in _PLAIN_MAKERS and arm.start == "model":
        return POMAdapter(model, "kernel", ("euclidean",), seed, exclude=arm.exclude)
    return POMAdapter(
        model,
        arm.scheme,
        arm.manifolds,
        seed,
        pom=arm.pom,
        exclude=arm.exclude,
        min_std=arm.min_std,
        fan_out=arm.fan_out,
        radius=arm.radius,
    )


def _groups(weights: Any, others: Any, rates: Rates) -> list[dict[str, Any]]:
    groups = [
        {"params": list(weights), "lr": rates.lr},
        {"params": list(others), "lr": rates.lr_euclidean},
    ]
    return [group for group in groups if group["params"]]


def _sgd(arm: Arm, weights: Any, others: Any, rates: Rates) -> list[Optimizer]:
    groups = _groups(weights, others, rates)
    decay = rates.weight_decay
    return [torch.optim.SGD(groups, rates.lr, arm.momentum, weight_decay=decay, foreach=True)]


def _adam(arm: Arm, weights: Any, others: Any, rates: Rates) -> list[Optimizer]:
    groups = _groups(weights, others, rates)
    return [torch.optim.AdamW(groups, rates.lr, weight_decay=rates.weight_decay, foreach=True)]


def _muon(arm: Arm, weights: Any, others: Any, rates: Rates) -> list[Optimizer]:
    if not hasattr(torch.optim, "Muon"):
        raise ValueError(
            f"arm {arm.name!r}: optimizer='muon' needs torch 2.9 or newer; this is "
            f"{torch.__version__}."
        )
    muon = FlatMuon(weights, rates.lr, rates.weight_decay, arm.momentum)
    return [muon, *(_sgd(arm, [], others, rates) if others else [])]


class FlatMuon(Optimizer):
    """``torch.optim.Muon`` on weights flattened to outputs x (inputs times kernel).

    The flattened weights are views of the weights' memory, so that the model's weights move.
    Steps are scaled by max(1, rows / columns)^(1/2), as in Muon's first implementation.
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float
    ) -> None:
        self.weights = list(weights)
        flat = [nn.Parameter(_matrix(w.detach(), w)) for w in self.weights]
        for matrix, weight in zip(flat, self.weights, strict=True):
            if matrix.data_ptr() != weight.data_ptr():
                raise ValueError(f"a weight of strides {weight.stride()} cannot be seen flattened.")
        self.muon = torch.optim.Muon(
            flat, lr=lr, weight_decay=weight_decay, momentum=momentum, adjust_lr_fn="original"
        )
        super().__init__(self.weights, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> None:  # type: ignore[override]
        """Step along the gradients of the weights; there is no closure."""
        (group,) = self.muon.param_groups
        group["lr"] = self.param_groups[0]["lr"]
        for matrix, weight in zip(group["params"], self.weights, strict=True):
            matrix.grad = None if weight.grad is None else _matrix(weight.grad, weight)
        self.muon.step()

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer and of torch's Muon within it."""
        return {**super().state_dict(), "muon": self.muon.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a state of :meth:`state_dict`."""
        self.muon.load_state_dict(state["muon"])
        super().load_state_dict({k: v for k, v in state.items() if k != "muon"})


def _matrix(tensor: Tensor, weight: Tensor) -> Tensor:
    """A tensor of the weight's shape as a matrix, its columns in the order of the weight's memory.

    The order of columns makes no difference to Muon's step.
    """
    strides = weight.stride()
    axes = sorted(range(1, weight.ndim), key=lambda axis: -strides[axis])
    return tensor.permute(0, *axes).flatten(1)


def _fgsgd(arm: Arm, adapter: POMAdapter, others: Any, rates: Rates) -> Optimizer:
    return FGSGD(
        adapter,
        rates.lr,
        arm.momentum,
        weight_decay=rates.weight_decay,
        **_pom_options(arm, others, rates),
    )


def _fgadam(arm: Arm, adapter: POMAdapter, others: Any, rates: Rates) -> Optimizer:
    options = _pom_options(arm, others, rates)
    return FGAdam(adapter, rates.lr, weight_decay=rates.weight_decay, **options)


def _pom_options(arm: Arm, others: Any, rates: Rates) -> dict[str, Any]:
    return {
        "rule": arm.rule,
        "gradient_norm": arm.gradient_norm,
        "momentum_space": arm.momentum_space,
        "params": [{"params": list(others), "lr": rates.lr_euclidean}] if others else [],
    }


_PLAIN_MAKERS = {"sgd": _sgd, "adam": _adam, "muon": _muon}
_PEER_MAKERS = {"geoopt": geoopt_at_radii, "pogo": pogo_at_radii}
_POM_MAKERS = {"fgsgd": _fgsgd, "fgadam": _fgadam}
