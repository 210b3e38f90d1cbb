"""A small study on digits."""

from fgmanifolds.experiments.study.protocol import read_protocol

TEXT = """
title = "Small"
arms = ["sgd", "pio4"]

[data]
name = "digits"
validation = 0.2

[model]
name = "cnn"

[budget]
epochs = 2
batch_size = 64
evaluations = 2
angles = 2
steps = 4

[search]
trials = 3
best = 2
reruns = 1

[test]
seeds = 2

[analysis]
primary = ["pio4", "sgd"]
margin = 5.0
target = 20.0
deviation = 1.0
difference = 5.0
"""


def write_protocol(folder, changes=(), text=TEXT):
    """Write the small protocol, with replacements of lines, and give its path."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "protocol.toml"
    path.write_text(text)
    return path


def small(folder, *changes):
    return read_protocol(write_protocol(folder, changes))
