"""Options of an adapter: as plain data, and compared with those of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from fgmanifolds.torch.scaling import map_sizes
from fgmanifolds.torch.selection import Candidate, LayerOptions
from fgmanifolds.validation import check_integer

__all__ = ["check_same_options", "listed", "plain", "wanted_map_sizes"]

#: Options that states of older versions lack, with what they meant.
_NEW_OPTIONS: dict[str, Any] = {"parameters": ()}


def check_same_options(options: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` unless the state of an adapter is of options like these.

    The seed may be another one.

    Parameters
    ----------
    options : mapping
    state : mapping
    """
    for key in ("options", "layers", "rescalings"):
        if key not in state:
            raise ValueError(f"checkpoint lacks {key!r}: it is no state of a POMAdapter.")
    check_integer("rescalings", state["rescalings"], low=0)
    check_integer("seed", state["options"].get("seed", -1), low=0)
    for option, mine in options.items():
        theirs = state["options"].get(option, _NEW_OPTIONS.get(option))
        if option != "seed" and plain(theirs) != plain(mine):
            raise ValueError(f"checkpoint has {option}={theirs!r}, this adapter {mine!r}.")


def plain(value: Any) -> Any:
    """Lists as tuples, at every depth, so that what was saved compares equal to what is."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return tuple(plain(entry) for entry in value) if isinstance(value, list | tuple) else value


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first of some names, quoted, and how many more there are.

    Parameters
    ----------
    names : Iterable[str]
    most : int
    """
    given = [repr(name) for name in names]
    more = f" and {len(given) - most} more" if len(given) > most else ""
    return ", ".join(given[:most]) + more


def wanted_map_sizes(
    model: nn.Module,
    chosen: Mapping[str, tuple[Candidate, LayerOptions]],
    example: Tensor | tuple[Tensor, ...] | None,
) -> dict[nn.Module, int]:
    """Sizes of the feature maps that ``fan_out="feature_map"`` needs, by module.

    Parameters
    ----------
    model : nn.Module
    chosen : mapping
    example : Tensor or tuple[Tensor, ...], optional
    """
    if all(options.fan_out != "feature_map" for _, options in chosen.values()):
        return {}
    if example is None:
        raise ValueError(
            "fan_out='feature_map' needs the sizes of the feature maps: give an input of the "
            "model as example=."
        )
    return map_sizes(model, example)
