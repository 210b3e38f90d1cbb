"""The processes that train one model together (``torch.distributed``): what they must share.

Gradients are averaged by ``DistributedDataParallel`` or whoever else sees to that; norms R and
denominators g follow from them, and so agree on all ranks. What is left is here: one seed for
the sets, the moments of the features, and a check that ranks start alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

if TYPE_CHECKING:
    from fgmanifolds.torch.spread import FeatureSpread

__all__ = ["WORLD", "Ranks", "check_agreement", "fingerprint", "share_moments_", "unwrapped"]

#: All processes, if there are several.
WORLD = "world"


class Ranks:
    """The processes that train one model together.

    Parameters
    ----------
    group : "world", ProcessGroup or None
        All processes of ``torch.distributed``, if it is initialised at the time of use; those of
        a group; or this one by itself.

    Notes
    -----
    A copy belongs to the same group. Pickled, a group of one's own becomes ``"world"``.
    """

    def __init__(self, group: Any = WORLD) -> None:
        known = group is None or group == WORLD
        if not known and not (dist.is_available() and isinstance(group, dist.ProcessGroup)):
            raise ValueError(
                f"process_group={group!r} is unknown; allowed: 'world', None or a "
                "torch.distributed.ProcessGroup."
            )
        self._group = group

    def __deepcopy__(self, memo: dict[int, Any]) -> Ranks:
        return Ranks(self._group)

    def __reduce__(self) -> tuple[Any, ...]:
        return Ranks, (None if self._group is None else WORLD,)

    @property
    def group(self) -> Any:
        """The group as ``torch.distributed`` takes it; None for all processes."""
        return None if self._group == WORLD else self._group

    @property
    def size(self) -> int:
        """Number of processes; 1 where ``torch.distributed`` is not at work."""
        if self._group is None or not (dist.is_available() and dist.is_initialized()):
            return 1
        return int(dist.get_world_size(self.group))

    def shared(self, value: Any) -> Any:
        """The first rank's value, which must be plain data."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=self._first(), group=self.group)
        return box[0]

    def gathered(self, value: Any) -> list[Any]:
        """The values of all ranks, which must be plain data."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self.group)
        return found

    def mean(self, value: float) -> float:
        """Mean of a number over the ranks."""
        if self.size == 1:
            return value
        return float(self.sum(torch.tensor(value, dtype=torch.float64))) / self.size

    def sum(self, values: Tensor) -> Tensor:
        """Sum of a tensor over the ranks, the same to the bit on all of them."""
        if self.size == 1:
            return values
        total = values.to(self._device(), copy=True)
        dist.all_reduce(total, group=self.group)
        return total.to(values.device)

    def _first(self) -> int:
        return 0 if self.group is None else dist.get_global_rank(self.group, 0)

    def _device(self) -> torch.device:
        """Device whose tensors the group's backend sends."""
        alone = dist.get_backend(self.group) == dist.Backend.NCCL
        return torch.device("cuda", torch.cuda.current_device()) if alone else torch.device("cpu")


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside of ``DistributedDataParallel`` or ``DataParallel``, at any depth."""
    while isinstance(model, DistributedDataParallel | DataParallel):
        model = model.module
    return model


# Moments of features ------------------------------------------------------------------


@torch.no_grad()
def share_moments_(spreads: Sequence[FeatureSpread], ranks: Ranks) -> None:
    """Average the running moments of features over the ranks, with their counts.

    One reduction for all layers. The averages are linear in the batches' moments, so that
    ranks that see parts of equal sizes have the moments of one process that sees it all. A
    channel of which no rank saw anything keeps its averages.

    Parameters
    ----------
    spreads : sequence of FeatureSpread
        Of all layers, in the same order on all ranks.
    ranks : Ranks
    """
    if ranks.size == 1 or not spreads:
        return
    device = spreads[0].mean.device
    parts = [
        torch.stack([one.seen, one.seen * one.mean, one.seen * one.square]).to(device)
        for one in spreads
    ]
    total = ranks.sum(torch.cat(parts, 1)).split([len(one.seen) for one in spreads], 1)
    for one, (seen, mean, square) in zip(spreads, total, strict=True):
        known = seen > 0
        number = torch.where(known, seen, 1.0)
        for own, summed in ((one.mean, mean), (one.square, square)):
            own.copy_(torch.where(known, summed / number, own.to(device)))
        one.seen.zero_()


# Do ranks agree? ------------------------------------------------------------------------


def fingerprint(values: Iterable[Any]) -> str:
    """Hash of plain data and tensors, mappings and sequences of them."""
    digest = hashlib.sha256()
    for value in values:
        _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        digest.update(repr((str(value.dtype), tuple(value.shape))).encode())
        plain = value.detach().cpu().contiguous().flatten()
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    elif isinstance(value, Mapping):
        for key in value:
            digest.update(repr(key).encode())
            _feed(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)}:".encode())
        for one in value:
            _feed(digest, one)
    else:
        digest.update(repr(value).encode())


def check_agreement(ranks: Ranks, parts: Mapping[str, Iterable[Any]]) -> None:
    """Raise ``ValueError``, on all ranks, unless they hold the same.

    Parameters
    ----------
    ranks : Ranks
    parts : mapping of str to iterable
        What must agree, by the name that the message gives it.
    """
    if ranks.size == 1:
        return
    found = ranks.gathered({name: fingerprint(values) for name, values in parts.items()})
    for name in parts:
        other = [rank for rank, one in enumerate(found) if one[name] != found[0][name]]
        if other:
            raise ValueError(
                f"ranks 0 and {other[0]} of {ranks.size} differ in their {name}; nothing was "
                "updated. Build the adapter with the same options on all ranks, and initialize_() "
                "from the same weights (after wrapping the model, or after torch.manual_seed); "
                "for models that do not belong together, process_group=None."
            )
