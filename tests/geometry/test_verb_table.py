"""The table verb by manifold of the documentation: every cell is tried again."""

import importlib.util
import logging
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def verbs():
    path = ROOT / "benchmarks/verbs.py"
    spec = importlib.util.spec_from_file_location("verbs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_was_tried(verbs):
    np.random.seed(0)  # noqa: NPY002
    logging.disable(logging.CRITICAL)
    try:
        table = verbs.tried()
    finally:
        logging.disable(logging.NOTSET)
    assert verbs.markdown(table) in (ROOT / "docs/verbs.md").read_text()
    empty = {
        (verb, name) for verb, row in table.items() for name, cell in row.items() if "F" not in cell
    }
    embedded = ("second fundamental form", "Weingarten map")
    assert empty == {(v, n) for v in embedded for n in ("Stiefel, canonical", "Grassmann")}


def test_a_call_that_fails_or_is_not_finite_is_no_answer(verbs):
    case = verbs.our_case("sphere")
    assert verbs.answers(lambda c: c["x"], case)
    assert not verbs.answers(lambda c: c["x"] * np.nan, case)
    assert not verbs.answers(lambda c: c["m"].no_such_verb(c["x"]), case)
    assert not verbs.answers(None, case)
