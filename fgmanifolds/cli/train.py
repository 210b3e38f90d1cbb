"""``fgmanifolds train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgmanifolds.cli.app import (
    app,
    check_flags,
    console,
    names_of,
    output_folder,
    progress_bar,
    user_errors,
)
from fgmanifolds.cli.options import (
    Amp,
    BatchSize,
    Data,
    Device,
    Epochs,
    Exclude,
    FanOut,
    Manifolds,
    Model,
    Scheme,
    Seed,
)

if TYPE_CHECKING:
    from fgmanifolds.experiments import RunResult


@app.command()
def train(
    data: Data = "digits",
    model: Model = "cnn",
    optimizer: Annotated[str, typer.Option(help="fgsgd or sgd.")] = "fgsgd",
    scheme: Scheme = "pio",
    manifolds: Manifolds = "sphere,oblique,stiefel,euclidean",
    exclude: Exclude = "classifier",
    fan_out: FanOut = "none",
    epochs: Epochs = 30,
    batch_size: BatchSize = 64,
    lr: Annotated[float, typer.Option(help="Learning rate at the start of its cosine.")] = 0.05,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder for metrics, checkpoint, report.")] = Path(
        "runs/train"
    ),
    device: Device = "cpu",
    amp: Amp = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run in OUT.")] = False,
) -> None:
    """Train one network; write metrics.csv, report.html and a checkpoint to OUT."""
    with user_errors("stopped; --resume goes on after the last whole epoch"), output_folder(out):
        check_flags(out, (out / "checkpoint.pt").exists(), resume=resume, overwrite=overwrite)
        from fgmanifolds import experiments

        config = experiments.TrainConfig(
            data=data,
            model=model,
            optimizer=optimizer,
            scheme=scheme,
            manifolds=names_of(manifolds),
            exclude=names_of(exclude),
            fan_out=fan_out,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            seed=seed,
            device=device,
            amp=amp,
        )
        with progress_bar() as progress:
            task = progress.add_task(config.label, total=epochs)

            def on_epoch(row: dict[str, float]) -> None:
                error = f"validation error {row['validation_error']:.2f}%"
                progress.update(
                    task, completed=int(row["epoch"]), description=f"{config.label}: {error}"
                )

            result = experiments.train(
                config, out, resume=resume, overwrite=overwrite, on_epoch=on_epoch
            )
            progress.update(task, completed=epochs)
        _show_result(result)


def _show_result(result: RunResult) -> None:
    console.print(f"{result.label}, seed {result.seed}", markup=False, highlight=False)
    console.print(f"  test error        {result.test_error:.2f}%")
    console.print(f"  validation error  {result.validation_error:.2f}%")
    console.print(f"  seconds per epoch {result.seconds_per_epoch:.3f}")
    if result.residual is not None:
        console.print(f"  largest residual  {result.residual:.1e}")
    report = Path(result.folder) / "report.html"
    console.print(f"  report            {report}", soft_wrap=True, highlight=False)
