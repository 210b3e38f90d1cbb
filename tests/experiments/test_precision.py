"""Forward passes in bfloat16."""

import warnings
from dataclasses import replace

import pytest
import torch

from fgmanifolds.experiments import TrainConfig, Trainer
from fgmanifolds.experiments.precision import autocast, warn_if_emulated


def warned(monkeypatch, machine, capability, device="cpu", enabled=True):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_emulated(device, enabled)
    return [str(one.message) for one in caught]


def test_who_is_warned(monkeypatch):
    """Those who ask for bfloat16 on an x86 processor without AVX-512."""
    (message,) = warned(monkeypatch, "x86_64", "AVX2")
    assert message.startswith("amp: this processor has no instructions for bfloat16")
    assert warned(monkeypatch, "AMD64", "DEFAULT")
    assert not warned(monkeypatch, "x86_64", "AVX512")
    assert not warned(monkeypatch, "aarch64", "DEFAULT")
    assert not warned(monkeypatch, "x86_64", "AVX2", device="cuda:0")
    assert not warned(monkeypatch, "x86_64", "AVX2", enabled=False)


@pytest.mark.parametrize("enabled", [True, False])
def test_autocast(enabled):
    with autocast("cpu", enabled):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if enabled else torch.float32)


def test_a_run_warns_where_it_was_made(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    with pytest.warns(UserWarning, match="ten times as long as float32") as found:
        Trainer(replace(TrainConfig(), amp=True))
    assert found[0].filename == __file__
