"""ImageNet's systems at their full size: a training step at batch 8 in less than 6 GB."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEMS = ["resnet18", "resnet50", "resnet101", "se_resnet50", "se_resnet101"]
SYSTEMS += ["resnext50_32x4d", "mobilenet_v2", "deeproots50"]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kilobytes there")
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_step_of_eight_photographs_needs_less_than_6_gb(system):
    command = [sys.executable, ROOT / "benchmarks/systems.py", "--json", "--only", system]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["peak_bytes"] < 6e9
