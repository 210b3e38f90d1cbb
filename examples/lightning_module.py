"""FG-SGD under PyTorch Lightning, which runs the loop: python examples/lightning_module.py.

Lightning's checkpoints hold the optimizer's state, and with it the radii.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import lightning as L
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter


class Classifier(L.LightningModule):
    """A network on POMs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = cnn(channels=1, classes=10)
        self.adapter = POMAdapter(self.net, scheme="pio", exclude=("classifier",)).initialize_()

    def configure_optimizers(self) -> FGSGD:
        """Lightning steps and saves what this returns."""
        return FGSGD(self.adapter, lr=0.05, momentum=0.9)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Loss of a minibatch."""
        images, labels = batch
        return F.cross_entropy(self.net(images), labels)

    def on_train_epoch_end(self) -> None:
        """Once an epoch the radii follow the features."""
        self.adapter.update_scales_()

    def test_step(self, batch: list[torch.Tensor]) -> None:
        """Error of a minibatch."""
        images, labels = batch
        wrong = (self.net(images).argmax(1) != labels).float().mean()
        self.log("error", 100 * wrong)


def main(epochs: int = 6, folder: str | None = None) -> float:
    """Train half of the epochs, resume from the checkpoint, and return the test error."""
    L.seed_everything(0, verbose=False)
    data = load_images("digits")
    batches = DataLoader(data.train, batch_size=64, shuffle=True)
    with TemporaryDirectory() as own:
        path = Path(folder or own) / "half.ckpt"
        first = _trainer(epochs // 2)
        first.fit(Classifier(), batches)
        first.save_checkpoint(path)
        model, trainer = Classifier(), _trainer(epochs)
        trainer.fit(model, batches, ckpt_path=path, weights_only=True)
    (result,) = trainer.test(model, DataLoader(data.test, batch_size=360), verbose=False)
    assert model.adapter.residual() < 1e-5
    return float(result["error"])


def _trainer(epochs: int) -> L.Trainer:
    return L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


if __name__ == "__main__":
    print(f"test error {main():.2f}%")
