"""Checkpoints of several processes (``torch.distributed.checkpoint``), for any number of them.

Each rank writes its shards; on loading, each reads what it needs of them. Nothing of the
package is left out, and everything is held in tensors: plain data as the bytes of a file that
``torch.load(weights_only=True)`` reads.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from fgmanifolds.torch.distributed import share_moments_
from fgmanifolds.torch.sharded import reshard_
from fgmanifolds.validation import damage_refused

if TYPE_CHECKING:
    from fgmanifolds.torch.optim import POMOptimizer

__all__ = ["load_training", "save_training"]

MODEL, STATE, PLAIN = "model", "state", "plain"


def _named(optimizer: POMOptimizer) -> dict[int, str]:
    names = {id(p): name for name, p in optimizer.adapter.model.named_parameters()}
    for group in optimizer.param_groups:
        for p in group["params"]:
            if id(p) not in names:
                raise ValueError(
                    "a parameter of the optimizer is not the model's; make the optimizer after "
                    "fully_shard, and of this model."
                )
    return names


def save_training(optimizer: POMOptimizer, folder: str | Path) -> None:
    """Save the model of an optimizer's adapter, the adapter and the optimizer to a folder.

    All ranks must call it; the ranks' moments of features are averaged first, as in
    ``update_scales_``. The model may be sharded, wrapped, or neither.

    Parameters
    ----------
    optimizer : POMOptimizer
    folder : path
        The same on all ranks. A checkpoint in it is replaced.

    Raises
    ------
    ValueError
        If a parameter of the optimizer is not the model's.
    """
    adapter, names = optimizer.adapter, _named(optimizer)
    share_moments_(adapter.collection.spreads, adapter.collection.ranks)
    reshard_(adapter.model)
    whole = optimizer.state_dict()
    tensors = {f"{MODEL}.{name}": value for name, value in adapter.model.state_dict().items()}
    numbers: dict[str, Any] = {}
    for p, kept in optimizer.state.items():
        for key, value in kept.items():
            where = f"{STATE}.{names[id(p)]}.{key}"
            if isinstance(value, Tensor):
                tensors[where] = value.detach()
            else:
                numbers[where] = value
    plain = {
        "groups": [
            {**saved, "params": [names[id(p)] for p in group["params"]]}
            for saved, group in zip(whole["param_groups"], optimizer.param_groups, strict=True)
        ],
        "numbers": numbers,
        "fgmanifolds": whole["fgmanifolds"],
    }
    buffer = io.BytesIO()
    torch.save(adapter.collection.ranks.shared(plain), buffer)
    tensors[PLAIN] = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
    save(tensors, checkpoint_id=folder)


def load_training(optimizer: POMOptimizer, folder: str | Path) -> None:
    """Load what :func:`save_training` saved, on any number of ranks and with other shards.

    All ranks must call it.

    Parameters
    ----------
    optimizer : POMOptimizer
        With its adapter on a model like the one that was saved.
    folder : path

    Raises
    ------
    ValueError
        If the checkpoint is of another model, other options or another collection, or
        damaged; nothing is changed then.
    """
    model = optimizer.adapter.model
    reshard_(model)
    try:
        saved = FileSystemReader(folder).read_metadata().state_dict_metadata
    except Exception as error:
        raise ValueError(f"{str(folder)!r} holds no checkpoint: {error}") from None
    with damage_refused(f"the checkpoint in {str(folder)!r}"):
        tensors = _templates(optimizer, saved)
        try:
            load(tensors, checkpoint_id=folder)
        except CheckpointException as error:  # which is no Exception
            raise RuntimeError(f"it cannot be read: {error}") from None
        content = io.BytesIO(tensors.pop(PLAIN).numpy().tobytes())
        plain = torch.load(content, map_location="cpu", weights_only=True)
        state = _state_of(optimizer, tensors, plain)
        optimizer.check_state(state)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(tensors[f"{MODEL}.{name}"])
    optimizer.load_state_dict(state)


def _templates(optimizer: POMOptimizer, saved: dict[str, Any]) -> dict[str, Tensor]:
    """Empty tensors, sharded as the present model is, for all that was saved."""
    model = optimizer.adapter.model
    own = {f"{MODEL}.{name}": value for name, value in model.state_dict().items()}
    parameters = dict(model.named_parameters())
    missing = sorted(set(own) ^ {key for key in saved if key.startswith(f"{MODEL}.")})
    if missing or PLAIN not in saved:
        raise ValueError(f"checkpoint is of another model: {missing[:5]} are not in both.")
    found: dict[str, Tensor] = {}
    for key, one in saved.items():
        like = own.get(key)
        if key.startswith(f"{STATE}."):
            like = parameters[key.removeprefix(f"{STATE}.").rpartition(".")[0]]
        if like is not None and like.shape == one.size:
            found[key] = torch.empty_like(like.detach(), dtype=one.properties.dtype)
        elif key in own:
            raise ValueError(
                f"checkpoint has {key} of shape {tuple(one.size)}, the model "
                f"{tuple(own[key].shape)}."
            )
        else:
            found[key] = torch.empty(one.size, dtype=one.properties.dtype)
    return found


def _state_of(
    optimizer: POMOptimizer, tensors: dict[str, Tensor], plain: dict[str, Any]
) -> dict[str, Any]:
    """A state dict as the optimizer takes it."""
    names, groups = _named(optimizer), []
    numbers: dict[str, int] = {}
    for group, saved in zip(optimizer.param_groups, plain["groups"], strict=True):
        own = [names[id(p)] for p in group["params"]]
        if saved["params"] != own:
            raise ValueError("checkpoint has other parameter groups.")
        first = len(numbers)
        numbers.update({name: first + i for i, name in enumerate(own)})
        groups.append({**saved, "params": [numbers[name] for name in own]})
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **plain["numbers"]}.items():
        if key.startswith(f"{STATE}."):
            name, _, entry = key.removeprefix(f"{STATE}.").rpartition(".")
            state.setdefault(numbers[name], {})[entry] = value
    return {"state": state, "param_groups": groups, "fgmanifolds": plain["fgmanifolds"]}
