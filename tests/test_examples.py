"""The examples run, and train."""

import runpy
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from fgmanifolds.data import load_images

EXAMPLES = Path(__file__).parents[1] / "examples"
NEEDS = {"lightning_module": "lightning", "accelerate_loop": "accelerate"}


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
@pytest.mark.filterwarnings("ignore")
def test_example(name, tmp_path, monkeypatch):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]()
    if name == "fine_tuning":
        pretrained, _, tuned = found
        assert pretrained < 5
        assert tuned <= pretrained + 1
    elif name == "centred_kernels":
        assert found < 0.5
    else:
        assert found < 15


@pytest.mark.filterwarnings("ignore")
def test_lightning_resumes_bit_for_bit(tmp_path):
    """From its own checkpoint, which holds model and optimizer: the radii are in there."""
    lightning = pytest.importorskip("lightning")
    example = runpy.run_path(str(EXAMPLES / "lightning_module.py"))

    def fit(epochs, seed, **options):
        lightning.seed_everything(seed, verbose=False)
        model = example["Classifier"]()
        trainer = example["_trainer"](epochs)
        trainer.fit(model, DataLoader(load_images("digits").train, batch_size=64), **options)
        return model, trainer

    straight, _ = fit(3, 0)
    _, trainer = fit(1, 0)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    resumed, _ = fit(3, 1, ckpt_path=tmp_path / "one.ckpt", weights_only=True)
    for a, b in zip(straight.net.state_dict().values(), resumed.net.state_dict().values()):
        assert torch.equal(a, b)
