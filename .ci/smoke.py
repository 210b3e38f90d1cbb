"""Try an installed package by itself: ``python smoke.py``, from a folder without the repository."""

import subprocess
import sys
import tempfile
from importlib import metadata, resources
from pathlib import Path

import torch
import torch.nn.functional as F

import fgmanifolds
from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter


def command(*arguments: str) -> str:
    """Run ``fgmanifolds`` as a user does."""
    program = Path(sys.executable).parent / "fgmanifolds"
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def main() -> None:
    """Geometry, training, checks of statements, and files that must be in the wheel."""
    place = Path(fgmanifolds.__file__).parent
    assert "site-packages" in place.parts, f"this is {place}, not an installed package"
    assert metadata.version("fgmanifolds") == fgmanifolds.__version__

    product = fgmanifolds.Sphere(3, 3, radius=2) * fgmanifolds.Stiefel(5, 3)
    point = product.random_point(rng=0)
    moved = product.exp(point, product.random_tangent_vector(point, rng=1))
    assert abs(product.dist(point, moved) - 1) < 1e-9
    assert product.sectional_curvature_bounds == (-0.5, 1.0)

    torch.manual_seed(0)
    images, labels = load_images("digits").train.tensors
    model = cnn(channels=1, classes=10)
    adapter = POMAdapter(model, "pio", exclude=("classifier",)).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    losses = []
    for batch in torch.randperm(len(labels)).split(64):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert adapter.residual() < 1e-5

    for name in ("py.typed", "verify/paper_results.csv", "experiments/tables/XII.toml"):
        assert resources.files("fgmanifolds").joinpath(name).is_file(), name
    assert "holds" in command("verify", "--only", "lemma1")
    assert "XII" in command("reproduce", "--list")
    trained = command("train", "--epochs", "1", "--out", "run")
    assert "test error" in trained
    print(f"fgmanifolds {fgmanifolds.__version__} works: {place}")


if __name__ == "__main__":
    main()
