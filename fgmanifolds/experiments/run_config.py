"""What a run of a row of a table is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from fgmanifolds.experiments.table import Row
from fgmanifolds.validation import check_integer

__all__ = ["RunConfig", "row_config"]


@dataclass(frozen=True)
class RunConfig:
    """All that a run follows from.

    Attributes
    ----------
    model : str
    options : dict
        Of :func:`~fgmanifolds.models.build_model`.
    data : str
    augmentation : {"with", "without", "imagenet"}
    method : str
        As :meth:`Method.parse` reads it.
    recipe : dict
        Attributes of :class:`Recipe`; its `epochs` is the length of the source.
    epochs, batch_size : int
        Length and batch of this run.
    seed : int
        Of weights, sets, order and augmentation.
    amp : bool
        Whether training runs under bfloat16 autocast.
    side : int or None
        Side that images are cut to.
    steps : int or None
        Steps of an epoch at most, and batches that are evaluated (a smoke test).
    """

    model: str
    options: dict[str, Any]
    data: str
    augmentation: str
    method: str
    recipe: dict[str, Any]
    epochs: int
    batch_size: int
    seed: int
    amp: bool = False
    side: int | None = None
    steps: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and checkpoints."""
        plain = asdict(self)
        plain["recipe"] = {**self.recipe, "milestones": list(self.recipe["milestones"])}
        return plain

    def check_same(self, stored: dict[str, Any]) -> None:
        """Raise ``ValueError`` naming the first option in which a stored run differs."""
        for name, mine in self.to_dict().items():
            if stored.get(name) != mine:
                raise ValueError(
                    f"the run to resume has {name}={stored.get(name)!r}, but {name}={mine!r} was "
                    "asked for; name another folder."
                )


def row_config(
    row: Row,
    seed: int,
    epochs: int | None = None,
    *,
    model: str | None = None,
    widths: str | None = None,
    data: str | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    side: int | None = None,
    steps: int | None = None,
    amp: bool = False,
) -> RunConfig:
    """The run of a row, at its source's length or at `epochs`.

    Parameters
    ----------
    row : Row
    seed : int
    epochs : int, optional
    model, widths, data, batch_size, lr
        In place of the table's choice; `lr` for rows with and without manifolds.
    side, steps, amp
        As in :class:`RunConfig`.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    system, method, recipe = row.system, row.method, row.system.recipe
    options = dict(system.options) if model in (None, system.model) else {}
    if method.splitting == "wss":
        options["wss"] = True
    if widths is not None:
        options["widths"] = widths
    if lr is not None:
        recipe = replace(recipe, lr=lr, fg_lr=None)
    epochs = recipe.epochs if epochs is None else epochs
    batch_size = recipe.batch_size if batch_size is None else batch_size
    check_integer("seed", seed, low=0)
    check_integer("epochs", epochs, low=1)
    check_integer("batch_size", batch_size, low=2)
    return RunConfig(
        model=model or system.model,
        options=options,
        data=data or system.data,
        augmentation=row.augmentation,
        method=str(method),
        recipe=asdict(recipe),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        amp=amp,
        side=side,
        steps=steps,
    )
