"""Checkpoints that were changed by hand: a documented error, or a run that goes on.

``python -m tests.experiments.test_tampering 10000`` makes so many changes, and counts.
"""

import copy
import math
import random
import sys
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fgmanifolds.data import load_images
from fgmanifolds.experiments import TrainConfig, Trainer
from fgmanifolds.experiments.runner import Settings, plan_of
from fgmanifolds.experiments.session import Session
from fgmanifolds.experiments.table import load_table
from fgmanifolds.torch.distributed import fingerprint

#: What is put in place of an entry, whatever that was.
VALUES = [
    None,
    True,
    -1,
    7,
    2**70,
    1e300,
    math.nan,
    -math.inf,
    "../../x",
    b"x",
    [],
    {},
    {"config": 1},
    torch.zeros(0),
    torch.zeros(3, 2),
    torch.tensor(math.nan),
    torch.zeros(2, dtype=torch.int32),
]


def trained(kind):
    """A run that has been through an epoch, and what it does next with a few images."""
    if kind == "session":
        table = load_table("XVI")
        row = next(r for r in table.rows if str(r.method).endswith("@sose"))
        config = plan_of(row, Settings(out=Path("x"), smoke=True), 0).config
        config = replace(config, model="cnn", options={})
        run = Session(config, load_images("digits"))
        run.run_epoch()
        pixels, labels = run.data.train.batch(np.arange(8))
        return run, lambda: run._step(pixels, labels)
    run = Trainer(replace(TrainConfig(epochs=3, exclude=()), optimizer=kind))
    run.run_epoch()
    images, labels = run.data.train.batch(np.arange(8))

    def step():
        run.model.train()
        torch.nn.functional.cross_entropy(run.model(images), labels).backward()
        for optimizer in run.optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return run, step


@lru_cache(maxsize=4)
def prepared(kind):
    run, step = trained(kind)
    for _ in range(2):  # loading orders the options of groups anew
        run.load_state_dict(copy.deepcopy(run.state_dict()))
    state = copy.deepcopy(run.state_dict())
    return run, step, state, list(paths(state)), fingerprint_of(run)


def paths(node, above=()):
    """Where everything is in nested mappings and lists."""
    if isinstance(node, dict):
        entries = node.items()
    elif isinstance(node, list | tuple):
        entries = list(enumerate(node))[:4]
    else:
        return
    for key, value in entries:
        yield (*above, key)
        yield from paths(value, (*above, key))


def put(node, path, change):
    """A copy of nested mappings and lists with one entry changed."""
    key, *rest = path
    twin = dict(node) if isinstance(node, dict) else list(node)
    if rest:
        twin[key] = put(node[key], rest, change)
    else:
        change(twin, key)
    return twin if isinstance(node, dict | list) else tuple(twin)


def changes(value):
    """Ways to change an entry."""

    def delete(where, key):
        del where[key]

    def rename(where, key):
        if isinstance(where, dict):
            where[f"{key}x"] = where.pop(key)
        else:
            where.append(where[key])

    def to(new):
        def change(where, key):
            where[key] = new

        return change

    found = [delete, rename, *map(to, VALUES)]
    if isinstance(value, torch.Tensor):
        found += [
            to(value.flatten()[:-1]),
            to(value.double() if value.is_floating_point() else value.to(torch.int16)),
            to(-value if value.dtype != torch.bool else ~value),
            to(value + 1),
            to(value.flatten().flip(0).reshape(value.shape)),
            to(value.to_sparse() if value.dim() else value),
        ]
        if value.is_floating_point() and value.numel():
            spoiled = value.clone()
            spoiled.view(-1)[-1] = math.inf
            found.append(to(spoiled))
    return found


def fingerprint_of(run):
    state = run.state_dict()
    return fingerprint([state])


def check(kind, pick, way):
    """A changed state is refused, and nothing changes by it, or it is loaded and steps."""
    run, step, state, places, before = prepared(kind)
    path = places[pick % len(places)]
    value = state
    for key in path:
        value = value[key]
    options = changes(value)
    changed = put(state, path, options[way % len(options)])
    try:
        run.check_state(changed)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            run.load_state_dict(changed)
        assert fingerprint_of(run) == before, path
        return "refused"
    run.load_state_dict(copy.deepcopy(changed))  # which holds tensors of the state
    try:
        step()
    except (ValueError, FloatingPointError):
        pass
    finally:
        run.load_state_dict(copy.deepcopy(state))
    assert fingerprint_of(run) == before, path
    return "loaded"


KINDS = ("fgsgd", "sgd", "session")


@settings(max_examples=500, phases=[Phase.generate])
@given(
    kind=st.sampled_from(KINDS),
    pick=st.integers(0, 10**6),
    way=st.integers(0, 10**6),
)
def test_changed_states_are_refused_or_go_on(kind, pick, way):
    check(kind, pick, way)


@pytest.mark.parametrize("kind", KINDS)
def test_what_must_be_refused_is(kind):
    run, _, state, _, before = prepared(kind)
    name = next(iter(state["model"]))
    weight = state["model"][name]
    history = state["history"]
    spoiled = weight.clone()
    spoiled.view(-1)[0] = math.nan
    wrong = [
        {"model": {**state["model"], name: spoiled}},
        {"model": {**state["model"], name: weight.double()}},
        {"model": {**state["model"], name: weight[:-1]}},
        {"model": {**state["model"], "more": weight}},
        {"history": history * 5},
        {"history": [{**history[0], "epoch": 2.0}]},
        {"history": [{**history[0], "epoch": "1"}]},
        {"adapter": None if state["adapter"] else {}},
        {"config": {}},
        {"more": 1},
    ]
    for change in wrong:
        with pytest.raises(ValueError, match=r"checkpoint|the run to resume"):
            run.load_state_dict({**state, **change})
        assert fingerprint_of(run) == before


def main():
    """Print what became of many changes."""
    count, drawn = int(sys.argv[1]), random.Random(0)
    found = Counter()
    for _ in range(count):
        kind = drawn.choice(KINDS)
        found[kind, check(kind, drawn.randrange(10**6), drawn.randrange(10**6))] += 1
    for (kind, result), number in sorted(found.items()):
        print(kind, result, number)


if __name__ == "__main__":
    main()
