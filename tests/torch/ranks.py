"""Processes for tests: what `torchrun` does, without its cost."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]


def launch(job, number, folder, *, timeout=240, **settings):
    """Run ``tests.torch.jobs.JOB(folder, **settings)`` on some ranks; return what each one gave.

    Parameters
    ----------
    job : str
    number : int
    folder : Path
        Where ranks leave what they return, as ``JOB-RANK.pt``.
    """
    runs = start(job, number, folder, **settings)
    try:
        texts = [run.communicate(timeout=timeout)[0] for run in runs]
    finally:
        for run in runs:
            run.kill()
    assert not any(run.returncode for run in runs), "\n\n".join(texts)
    return [torch.load(folder / f"{job}-{rank}.pt", weights_only=True) for rank in range(number)]


def start(job, number, folder, **settings):
    """Start the processes of a job."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    shared = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(number),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.torch.jobs", job, str(folder), repr(settings)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(number)
    ]
