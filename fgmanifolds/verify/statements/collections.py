"""Networks and collections of POMs: (1), (2), Definition 1, Example 1, running times."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import nn

from fgmanifolds.torch import POMAdapter
from fgmanifolds.verify.claim import CORRECTED, DEFINITION, HOLDS, OPEN, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.proposition1 import RADII

__all__ = [
    "ENTRIES",
    "definition1",
    "eq1",
    "eq2",
    "example1",
    "example_adapter",
    "running_times",
    "sets_of",
]

#: Output and input channel of a kernel.
Kernel = tuple[int, int]


def eq1() -> Finding:
    """Say why (1) has no verdict."""
    return Finding(
        "(1)",
        "A network is the composition of its layers' functions.",
        "definition",
        {},
        "It defines what f_l of a network means, so that there is nothing to be false. The printed "
        "formula applies f_l to the input and to f_{l-1}; read as a definition of the network up "
        "to layer l.",
    )


def running_times() -> Finding:
    """Say why the running times of Appendix C.A are not checked."""
    return Finding(
        "C.A, running times",
        "Overheads over SGD below 1.5, 2.5 and 5 (linear layers), and 3, 3 and 6 (convolutions).",
        "not testable",
        {},
        "They are of an implementation and machines that are not given. The overhead of this "
        "package on the machine at hand is what `make bench` prints.",
    )


# Definition 1 and Example 1 ----------------------------------------


def _normalised(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, bias=False, dtype=torch.float64)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, dtype=torch.float64))


def example_adapter(inputs: int, outputs: int, scheme: str, seed: int) -> POMAdapter:
    """A convolution of 3 x 3 kernels on Sp and St.

    Parameters
    ----------
    inputs, outputs : int
    scheme : str
    seed : int
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _normalised(inputs, outputs)
        kinds = ("sphere", "stiefel")
        return POMAdapter(model, scheme, kinds, seed=seed, fan_out="glorot").initialize_()


def sets_of(adapter: POMAdapter) -> list[list[Kernel]]:
    """The kernels of each POM, found by numbering them and reading the POM's points."""
    weight = adapter.layers["0"].weight
    outputs, inputs = weight.shape[:2]
    numbers = torch.arange(outputs * inputs, dtype=weight.dtype).reshape(outputs, inputs, 1, 1)
    kept = weight.detach().clone()
    found = []
    with torch.no_grad():
        weight.copy_(numbers.expand_as(weight))
        for pom in range(len(adapter.pom_names("0"))):
            entries = [np.reshape(part, (-1, 9))[:, 0] for part in adapter.point("0", pom)]
            found.append([divmod(int(n), inputs) for n in np.concatenate(entries)])
        weight.copy_(kept)
    return found


def printed_membership(scheme: str, kernels: list[Kernel]) -> bool:
    """Whether kernels may form a set: one input channel (PI), one output channel (PO), either."""
    one_input = len({c for _, c in kernels}) == 1
    one_output = len({d for d, _ in kernels}) == 1
    return {"pi": one_input, "po": one_output, "pio": one_input or one_output}[scheme]


def definition1(*, seed: int = 0) -> Finding:
    """Check Definition 1 and the schemes: which kernels each POM of a layer holds."""
    found = Evidence()
    for scheme in ("pi", "po", "pio"):
        adapter = example_adapter(6, 10, scheme, seed)
        sets = sets_of(adapter)
        counts = Counter(kernel for kernels in sets for kernel in kernels)
        wrong = sum(counts[d, c] != 1 for d in range(10) for c in range(6))
        found.near(CODE, f"{scheme.upper()}: kernels that are not in one POM", wrong, 0, 0)
        outside = sum(not printed_membership(scheme, kernels) for kernels in sets)
        found.near(PRINTED, f"{scheme.upper()}: sets that the scheme does not allow", outside, 0, 0)
        mixed = sum(len(adapter.manifold("0", n).components) != 1 for n in range(len(sets)))
        found.near(PRINTED, f"{scheme.upper()}: POMs of two manifolds", mixed, 0, 0)
        factors = sum(adapter.manifold("0", n).n_factors for n in range(len(sets)))
        found.near(CODE, f"{scheme.upper()}: factors of all POMs", factors, 60, 0)
        off = max(
            adapter.manifold("0", n).residual(adapter.point("0", n)) for n in range(len(sets))
        )
        found.below(CODE, f"{scheme.upper()}: residual of the points", off, 1e-9)
    return found.finding(
        "Definition 1",
        "The weights of a layer are points of a collection of POMs, each in one of them.",
        "That every kernel is in one POM, and what its set may hold, can be false, and is checked.",
    )


def printed_sets(scheme: str) -> dict[tuple[str, int], int]:
    """Example 1: how many POMs of which size there are, on Sp and St."""
    return {
        "pi": {("sphere", 3): 4, ("stiefel", 3): 4},
        "po": {("sphere", 2): 6, ("stiefel", 2): 6},
        "pio": {("sphere", 3): 2, ("stiefel", 3): 2, ("sphere", 2): 3, ("stiefel", 2): 3},
    }[scheme]


def example1(*, seed: int = 0) -> Finding:
    """Check Example 1: the POMs of a 3 x 3 x 4 x 6 tensor with Sp and St."""
    found = Evidence()
    for scheme in ("pi", "po", "pio"):
        adapter, wanted = example_adapter(4, 6, scheme, seed), printed_sets(scheme)
        manifolds = [adapter.manifold("0", n) for n in range(len(adapter.pom_names("0")))]
        counts = Counter((m.components[0].kind, m.n_factors) for m in manifolds)
        for (kind, size), count in wanted.items():
            name = f"{scheme.upper()}: POMs of {size} {'Sp' if kind == 'sphere' else 'St'}"
            found.near(PRINTED, name, counts[kind, size], count, 0)
        found.near(PRINTED, f"{scheme.upper()}: POMs", len(manifolds), sum(wanted.values()), 0)
        kernels = sum(size * count for (_, size), count in wanted.items())
        found.near(RIGHT, f"{scheme.upper()}: kernels in them", kernels, 24, 0)
    return found.finding(
        "Example 1",
        "PI gives 4 + 4 POMs of 3, PO 6 + 6 of 2, PIO 10 POMs: 2 + 2 of 3 and 3 + 3 of 2.",
        "PIO is reconstructed from this example; its set-builder formulas do not define it, and "
        "'into 3 subsets' does not fit its 10.",
    )


# (2) ----------------------------------------


def right_gamma(b: int, b_hat: int) -> float:
    """Eq. (2)."""
    return float((b + b_hat) ** -0.5)


def printed_needed(columns: int, gamma: float) -> bool:
    """The main text's condition on gamma, gamma^2 < B."""
    return gamma**2 < columns


def right_needed(columns: int, gamma: float) -> bool:
    """What norms of at most 1 need: B gamma^2 <= 1."""
    return columns * gamma**2 <= 1


def eq2(*, seed: int = 0) -> Finding:
    """Check (2): radii of the adapter, Glorot's scheme by its samples, and what gamma must obey.

    Glorot & Bengio's weights have the variance 2 / (b + b-hat), twice gamma^2; torch draws them.
    """
    found = Evidence()
    inputs, outputs = 24, 48
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        conv = nn.Conv2d(inputs, outputs, 3, bias=False)
        variance = float(nn.init.xavier_normal_(conv.weight).detach().double().square().mean())
    gamma = right_gamma(9 * inputs, 9 * outputs)
    error = 4 * (2 / conv.weight.numel()) ** 0.5  # four standard deviations of a variance
    name = "variance of Glorot's weights over 2 gamma^2"
    found.near(RIGHT, name, variance / (2 * gamma**2), 1, error)
    adapter = example_adapter(inputs, outputs, "pi", seed)
    found.note("gamma, glorot", gamma)
    sizes = [
        float(np.linalg.norm(np.reshape(part, (-1, 3, 3)), ord=2, axis=(1, 2)).max())
        for n in range(0, len(adapter.pom_names("0")), 5)
        if adapter.manifold("0", n).components[0].kind == "stiefel"
        for part in adapter.point("0", n)
    ]
    found.near(CODE, "radius of Stiefel kernels over gamma", max(sizes) / gamma, 1, 1e-9)
    with torch.random.fork_rng():
        model = _normalised(inputs, outputs)
        example = torch.zeros(1, inputs, 10, 10, dtype=torch.float64)
        other = POMAdapter(model, "pi", ("sphere",), fan_out="feature_map", example=example)
        other.initialize_()
    wanted = right_gamma(9 * inputs, 64 * outputs)
    radius = float(np.linalg.norm(np.reshape(other.point("0", 0)[0], (-1, 9))[0]))
    found.note("gamma, feature maps of 8 x 8", wanted)
    found.near(CODE, "radius of spheres over it", radius / wanted, 1, 1e-9)
    columns, large = 2, 0.9  # gamma^2 < B, and a Stiefel point of radius gamma has norm 1.27
    norm = columns**0.5 * large
    if printed_needed(columns, large):
        found.below(PRINTED, "gamma^2 < B: norm of a weight, gamma = 0.9, B = 2", norm, 1.0)
    at_most = 2**-0.5
    found.near(RIGHT, "B gamma^2 <= 1 at its limit", right_needed(columns, at_most - 1e-9), 1, 0)
    found.near(RIGHT, "B gamma^2 <= 1 beyond it", right_needed(columns, at_most + 1e-9), 0, 0)
    return found.finding(
        "(2)",
        "gamma = (b + b-hat)^(-1/2), with gamma^2 < B.",
        "b-hat is 'the dimension of output feature maps times output channels' in the text; the "
        "scheme that it generalises (Glorot & Bengio 2010) has the receptive field there. The main "
        "text's gamma^2 < B is not what is needed; B gamma^2 <= 1 is.",
        corrected=True,
    )


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.collections"

_TWICE = Fault(
    "pom-twice",
    PACKAGE,
    "POMAdapter.point gives POM 0 for POM 1",
    "fgmanifolds.torch:POMAdapter.point",
    lambda f: lambda self, layer, pom: f(self, layer, 0 if pom == 1 else pom),
)
_SCHEME = Fault(
    "scheme-pi",
    PACKAGE,
    "POMAdapter makes sets of PI whatever it is told",
    "fgmanifolds.torch:POMAdapter.__init__",
    lambda f: lambda self, model, scheme, *args, **options: f(self, model, "pi", *args, **options),
)

ENTRIES = (
    Claim(
        "eq1",
        "(1)",
        "A network is the composition of its layers' functions.",
        "",
        "fgmanifolds.models",
        eq1,
        DEFINITION,
        "A definition.",
    ),
    Claim(
        "definition1",
        "Definition 1",
        "A layer's weights are points of a collection of products of weight manifolds.",
        "",
        "fgmanifolds.torch.POMAdapter",
        definition1,
        HOLDS,
        "The sets of a scheme are a partition of the kernels; the weights of each set are a point "
        "of the product of their manifolds. The sets are read off by numbering the kernels.",
        (
            Fault(
                "definition1-swapped",
                FORMULA,
                "the sets of PI and PO swapped",
                f"{_HERE}:printed_membership",
                lambda f: (
                    lambda scheme, kernels: f({"pi": "po", "po": "pi"}.get(scheme, scheme), kernels)
                ),
            ),
            _TWICE,
            _SCHEME,
        ),
    ),
    Claim(
        "eq2",
        "(2)",
        "gamma = (b + b-hat)^(-1/2).",
        "b-hat as in Glorot & Bengio, or of the feature maps; B gamma^2 <= 1 is what is needed.",
        "fgmanifolds.torch.POMAdapter",
        eq2,
        CORRECTED,
        "Glorot and Bengio keep the variance of features and of gradients near 1, with weights of "
        "variance $2/(b + \\hat b)$, b and $\\hat b$ the numbers of terms that enter and leave. A "
        "Stiefel or oblique point of radius gamma has the Frobenius norm $\\gamma\\sqrt B$: at "
        "most 1 if and only if $B\\gamma^2 \\le 1$.",
        (
            Fault(
                "eq2-no-root",
                FORMULA,
                "gamma without its root",
                f"{_HERE}:right_gamma",
                instead(lambda b, b_hat: 1.0 / (b + b_hat)),
            ),
            Fault(
                "eq2-printed-right",
                FORMULA,
                "the printed condition replaced by the right one",
                f"{_HERE}:printed_needed",
                lambda f: right_needed,
            ),
            RADII,
        ),
    ),
    Claim(
        "c-a-times",
        "Appendix C.A",
        "Running times against SGD.",
        "",
        "benchmarks",
        running_times,
        OPEN,
    ),
    Claim(
        "example1",
        "Example 1",
        "Sets of a 3 x 3 x 4 x 6 tensor for PI, PO and PIO.",
        "",
        "fgmanifolds.torch.POMAdapter",
        example1,
        HOLDS,
        "Four input channels with six kernels each make 4 x 2 sets of three for PI, six output "
        "channels with four kernels 6 x 2 sets of two for PO. PIO gives half of the grid to each: "
        "four sets of three by input and six of two by output are 12 + 12 kernels and 10 sets.",
        (
            Fault(
                "example1-eleven",
                FORMULA,
                "three POMs of 3 St for PIO",
                f"{_HERE}:printed_sets",
                lambda f: (
                    lambda scheme: {
                        key: count + (scheme == "pio" and key == ("stiefel", 3))
                        for key, count in f(scheme).items()
                    }
                ),
            ),
            _SCHEME,
        ),
    ),
)
