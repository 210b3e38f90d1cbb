"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Data = Annotated[str, typer.Option(help="Data set: digits, or mnist5k (extra 'mnist').")]
Model = Annotated[
    str, typer.Option(help="Model: cnn, resnet20, resnet44, or another network of the paper.")
]
Scheme = Annotated[str, typer.Option(help="Sets of weights: pio, pi, po, layer or kernel.")]
Manifolds = Annotated[
    str, typer.Option(help="Comma-separated list of sphere, oblique, stiefel, euclidean.")
]
Exclude = Annotated[str, typer.Option(help="Comma-separated layers (patterns) kept Euclidean.")]
FanOut = Annotated[
    str, typer.Option(help="b-hat of eq. (2): none, or the paper's: glorot or feature_map.")
]
Epochs = Annotated[int, typer.Option(help="Number of epochs.")]
BatchSize = Annotated[int, typer.Option(help="Images in a minibatch.")]
Seed = Annotated[int, typer.Option(help="Seed of weights, sets and order of images.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Amp = Annotated[bool, typer.Option("--amp", help="Train under bfloat16 autocast.")]
