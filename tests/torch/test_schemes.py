"""Sets of weights: Example 1 exactly, and the properties of each scheme on any layer."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fgmanifolds.torch.linked_schemes import half_of_links, linked_sets
from fgmanifolds.torch.schemes import SCHEMES, UNIFORM, biregular_half, block_sets, kernel_sets

sides = st.integers(1, 13)
seeds = st.integers(0, 2**32 - 1)


def census(sets, names=("Sp", "St")):
    """Count the POMs by (number of kernels, manifold)."""
    counts = Counter()
    for pom in range(len(sets.labels)):
        members = sets.manifold[sets.pom == pom]
        assert len(set(members.tolist())) == 1
        counts[len(members), names[members[0]]] += 1
    return dict(counts)


@pytest.mark.parametrize("seed", range(20))
def test_example_1(seed):
    """4 input and 6 output channels, sphere and Stiefel."""

    def sets(scheme):
        return kernel_sets((6, 4), scheme, 2, np.random.default_rng(seed))

    assert census(sets("pi")) == {(3, "Sp"): 4, (3, "St"): 4}
    assert census(sets("po")) == {(2, "Sp"): 6, (2, "St"): 6}
    assert census(sets("pio")) == {(3, "Sp"): 2, (3, "St"): 2, (2, "Sp"): 3, (2, "St"): 3}


@example(1, 1, 1, "pio", 0)
@example(1, 5, 3, "pio", 0)
@given(sides, sides, st.integers(1, 4), st.sampled_from(["pi", "po", "pio"]), seeds)
def test_every_kernel_is_in_one_set_of_one_manifold(outputs, inputs, m, scheme, seed):
    sets = kernel_sets((outputs, inputs), scheme, m, np.random.default_rng(seed))
    assert sets.manifold.shape == sets.pom.shape == (outputs, inputs)
    assert set(sets.pom.ravel().tolist()) == set(range(len(sets.labels)))
    assert 0 <= sets.manifold.min() <= sets.manifold.max() < m
    for pom, label in enumerate(sets.labels):
        d, c = np.nonzero(sets.pom == pom)
        assert len(set(sets.manifold[d, c].tolist())) == 1
        for part in label.split(", "):  # of one kernel: its output and its input
            kind, number = part.split()
            assert set((c if kind == "input" else d).tolist()) == {int(number)}


@given(sides, sides, st.integers(1, 4), seeds)
def test_pi_and_po_split_each_channel_evenly(outputs, inputs, m, seed):
    rng = np.random.default_rng(seed)
    by_input = kernel_sets((outputs, inputs), "pi", m, rng).manifold
    by_output = kernel_sets((outputs, inputs), "po", m, rng).manifold
    for line in (*by_input.T, *by_output):
        counts = np.bincount(line, minlength=m)
        assert counts.max() - counts.min() <= 1


@given(sides, sides, seeds)
def test_the_half_of_pio_is_biregular(rows, columns, seed):
    mask = biregular_half(rows, columns, np.random.default_rng(seed))
    for sums, length in ((mask.sum(1), columns), (mask.sum(0), rows)):
        assert set(sums.tolist()) <= {length // 2, -(-length // 2)}


def test_the_half_of_pio_is_random():
    """Every cell of a small grid is taken about half of the time, and masks vary."""
    rng = np.random.default_rng(0)
    masks = np.array([biregular_half(4, 6, rng) for _ in range(2000)])
    np.testing.assert_allclose(masks.mean(0), 0.5, atol=0.05)
    assert len({mask.tobytes() for mask in masks}) > 500


@given(sides, sides, st.integers(1, 4), seeds)
def test_pio_deals_manifolds_evenly_over_the_sets_of_each_type(outputs, inputs, m, seed):
    sets = kernel_sets((outputs, inputs), "pio", m, np.random.default_rng(seed))
    for kind, number in (("input", inputs), ("output", outputs)):
        owners = [
            sets.manifold[sets.pom == pom][0]
            for pom, label in enumerate(sets.labels)
            if label.startswith(kind)
        ]
        if len(owners) == number:  # no set of this type is empty
            counts = np.bincount(owners, minlength=m)
            assert counts.max() - counts.min() <= 1


@given(sides, sides, st.integers(1, 4), st.sampled_from(SCHEMES), seeds)
def test_blocks_tile_the_matrix(outputs, inputs, m, scheme, seed):
    m = 1 if scheme in UNIFORM else m
    cover = np.zeros((outputs, inputs), dtype=int)
    (blocks,) = block_sets((outputs, inputs), scheme, m, np.random.default_rng(seed))
    for block in blocks:
        cover[np.ix_(block.outputs, block.inputs)] += 1
    assert (cover == 1).all()
    if scheme == "pi":
        assert all(len(block.inputs) == inputs for block in blocks)
    if scheme == "po":
        assert all(len(block.outputs) == outputs for block in blocks)
    if scheme == "pio" and min(outputs, inputs) >= m:
        assert Counter(block.manifold for block in blocks) == dict.fromkeys(range(m), m)


def test_layer_and_kernel():
    rng = np.random.default_rng(0)
    assert kernel_sets((3, 2), "layer", 1, rng).labels == ["layer"]
    each = kernel_sets((3, 2), "kernel", 1, rng)
    assert sorted(each.pom.ravel().tolist()) == list(range(6))
    with pytest.raises(ValueError, match="scheme='layer' puts every weight on one manifold"):
        kernel_sets((3, 2), "layer", 2, rng)


def test_one_pom_for_each_manifold():
    sets = kernel_sets((6, 4), "pio", 2, np.random.default_rng(0), pom="manifold")
    assert census(sets) == {(12, "Sp"): 1, (12, "St"): 1}


def test_unknown_names_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"scheme='pip' is unknown; allowed: 'pi', 'po', 'pio'"):
        kernel_sets((2, 2), "pip", 1, rng)
    with pytest.raises(ValueError, match=r"pom='sets' is unknown.*Did you mean 'set'"):
        kernel_sets((2, 2), "pi", 1, rng, pom="sets")


def links_of(outputs, each, inputs, seed):
    """Each output sees some inputs, these all about as often."""
    rng = np.random.default_rng(seed)
    order = np.resize(np.arange(inputs), outputs * each).reshape(outputs, each)
    return rng.permutation(inputs)[order[rng.permutation(outputs)]]


@given(st.integers(2, 20), st.integers(2, 6), st.integers(6, 14), seeds)
def test_half_of_links_is_half_of_each_output_and_input(outputs, each, inputs, seed):
    links = links_of(outputs, each, inputs, seed)
    mask = half_of_links(links, np.random.default_rng(seed))
    assert set(mask.sum(1).tolist()) <= {each // 2, -(-each // 2)}
    for channel in range(inputs):
        degree, taken = (links == channel).sum(), mask[links == channel].sum()
        assert degree // 2 <= taken <= -(-degree // 2)


@given(st.integers(2, 20), st.integers(2, 6), st.integers(6, 14), st.integers(1, 4), seeds)
def test_sets_of_links_keep_one_channel(outputs, each, inputs, m, seed):
    links = links_of(outputs, each, inputs, seed)
    for scheme in ("pi", "po", "pio"):
        sets = linked_sets(links, scheme, m, np.random.default_rng(seed))
        for pom, label in enumerate(sets.labels):
            d, j = np.nonzero(sets.pom == pom)
            assert len(set(sets.manifold[d, j].tolist())) == 1
            if " " in label and "," not in label:
                kind, number = label.split()
                own = links[d, j] if kind == "input" else d
                assert set(own.tolist()) == {int(number)}
        assert set(sets.pom.ravel().tolist()) == set(range(len(sets.labels)))
