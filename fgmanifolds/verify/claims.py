"""Every numbered statement of the paper: what is printed, what is right, and its check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fgmanifolds.verify import convergence, maps, products, proofs, schemes, tables
from fgmanifolds.verify.finding import Finding

__all__ = ["CLAIMS", "Claim", "running_times"]


@dataclass(frozen=True)
class Claim:
    """A statement of the paper.

    Attributes
    ----------
    name : str
        To select it by: ``"lemma1"``, ``"eq24"``.
    where : str
        Its number in the paper.
    printed : str
        What the paper says, in short.
    right : str
        What is right; empty where the printed statement is.
    code : str
        Where it is in the package.
    check : callable
        Measures it and gives a :class:`~fgmanifolds.verify.Finding`.
    expected : {"holds", "holds as corrected", "fails", "not testable"}
        The verdict that the check is known to give.
    """

    name: str
    where: str
    printed: str
    right: str
    code: str
    check: Callable[..., Finding]
    expected: str


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


HOLDS, CORRECTED, FAILS, OPEN = "holds", "holds as corrected", "fails", "not testable"
_PRODUCT = "fgmanifolds.ScaledProductManifold"

_ENTRIES = (
    Claim(
        "eq1",
        "(1)",
        "A network is the composition of its layers' functions.",
        "",
        "fgmanifolds.models",
        schemes.eq1,
        HOLDS,
    ),
    Claim(
        "definition1",
        "Definition 1",
        "A layer's weights are points of a collection of products of weight manifolds.",
        "",
        "fgmanifolds.torch.POMAdapter",
        schemes.definition1,
        HOLDS,
    ),
    Claim(
        "remark1",
        "Remark 1.2",
        "Sectional curvature of a product of weight manifolds is at least 0.",
        "False for Stiefel manifolds with A > B >= 2 in the embedded metric: at least -1/2.",
        f"{_PRODUCT}.sectional_curvature_bounds",
        products.remark1,
        FAILS,
    ),
    Claim(
        "two-spheres",
        "Section III.A",
        "Unit curvature in each two-sphere, zero along planes across two of them.",
        "",
        f"{_PRODUCT}.sectional_curvature",
        products.two_spheres,
        HOLDS,
    ),
    Claim(
        "table1",
        "Table I",
        "Three bounds with products of the groups' norms.",
        "A layer's squared Frobenius norm is the sum over its groups; the bounds are of layers.",
        "fgmanifolds.verify.generalization_bounds",
        tables.table1_and_6,
        FAILS,
    ),
    Claim(
        "table2",
        "Table II",
        "Row-sum norms 1, B^(1/4), B^(1/4) of sphere, Stiefel and oblique manifold.",
        "Ranges: [1, A^(1/2)], [B, (AB)^(1/2)], [B^(1/2), (AB)^(1/2)].",
        "fgmanifolds.verify.table2",
        tables.table2_and_4,
        CORRECTED,
    ),
    Claim(
        "table2-caption",
        "Table II, caption",
        "Norms of a group are at least the geometric means of its components' norms.",
        "",
        "fgmanifolds.verify.concatenated_norms",
        tables.norms_of_groups,
        HOLDS,
    ),
    Claim(
        "algorithm1",
        "Algorithm 1",
        "Project, scale the step, retract, for each layer l = 1..T.",
        "Line 3 is each step t = 1..T.",
        "fgmanifolds.torch.FGSGD",
        schemes.algorithm1,
        CORRECTED,
    ),
    Claim(
        "eq2",
        "(2)",
        "gamma = (b + b-hat)^(-1/2).",
        "b-hat as in Glorot & Bengio, or of the feature maps; B gamma^2 <= 1 is what is needed.",
        "fgmanifolds.torch.spread.geometric_scaling",
        schemes.eq2,
        CORRECTED,
    ),
    Claim(
        "eq3",
        "(3)",
        "The step is -(r / g) grad.",
        "With (31) as printed it ascends.",
        "fgmanifolds.torch.FGSGD",
        schemes.sign_of_the_step,
        CORRECTED,
    ),
    Claim(
        "eq4",
        "(4)",
        "sum r(t) = inf, sum r(t)^2 < inf.",
        "The proof needs r(t) <= 1 as well.",
        "fgmanifolds.steps.schedules",
        schemes.eq4,
        CORRECTED,
    ),
    Claim(
        "eq5",
        "(5)",
        "g = max(1, R^2 max[(2 rho + R)^2, 1 + c (rho + R)])^(1/2), R of the same gradient.",
        "R of past gradients; kappa^(1/2), kappa = -(lowest curvature), in the place of c.",
        "fgmanifolds.steps.rules",
        convergence.denominator_bias,
        FAILS,
    ),
    Claim(
        "eq6",
        "(6)",
        "The norm of the gradient is the root of the sum over the components.",
        "",
        "fgmanifolds.torch.ops.table",
        products.theorem1,
        HOLDS,
    ),
    Claim(
        "eq7",
        "(7)",
        "On unit spheres g = max(1, R^2 (2 + R)^2)^(1/2).",
        "At radius r: rho-hat = c^(-1/2) = r in the place of 1.",
        "fgmanifolds.solver.corollary2",
        convergence.corollary2,
        CORRECTED,
    ),
    Claim(
        "proposition1",
        "Proposition 1",
        "All norms of all concatenated groups are at most 1.",
        "Frobenius and spectral norms are, for PI, PO and PIO; row sums are not.",
        "fgmanifolds.verify.proposition1_norms",
        tables.proposition1,
        FAILS,
    ),
    Claim(
        "bai-yin",
        "Proposition 1, proof",
        "Top singular values are at most 1 / gamma by the Bai-Yin law.",
        "They are at most B^(1/2) <= 1 / gamma, without the law.",
        "fgmanifolds.verify.bai_yin",
        tables.bai_yin_law,
        CORRECTED,
    ),
    Claim(
        "table4",
        "Table IV",
        "As Table II.",
        "As Table II.",
        "fgmanifolds.verify.table2",
        tables.table2_and_4,
        CORRECTED,
    ),
    Claim(
        "table5",
        "Table V",
        "The manifolds as sets of matrices.",
        "",
        "fgmanifolds.geometry.component",
        maps.table5,
        HOLDS,
    ),
    Claim(
        "definition2",
        "Definition 2, (8)",
        "The sectional curvature of a plane.",
        "",
        "fgmanifolds.geometry.sectional_curvature",
        proofs.definition2,
        HOLDS,
    ),
    Claim(
        "eq8",
        "(8)",
        "<C(X, Y) Y, X> over the squared area of X and Y.",
        "",
        "fgmanifolds.geometry.sectional_curvature",
        proofs.definition2,
        HOLDS,
    ),
    Claim(
        "table6",
        "Table VI",
        "As Table I.",
        "As Table I.",
        "fgmanifolds.verify.generalization_bounds",
        tables.table1_and_6,
        FAILS,
    ),
    Claim(
        "definition3",
        "Definition 3",
        "The Riemannian connection.",
        "Property 4 is nabla_X Y - nabla_Y X = [X, Y].",
        "fgmanifolds.verify.proofs",
        proofs.definition3,
        CORRECTED,
    ),
    Claim(
        "eq9",
        "(9)",
        "The Riemannian connection as a map of vector fields.",
        "Its properties 1, 4 and 5 lack symbols.",
        "fgmanifolds.verify.proofs",
        proofs.definition3,
        CORRECTED,
    ),
    Claim(
        "lemma1",
        "Lemma 1",
        "Metric and curvature form of a product are sums; some sectional curvatures vanish.",
        "",
        _PRODUCT,
        products.lemma1,
        HOLDS,
    ),
    Claim(
        "eq10",
        "(10)",
        "The metric is the sum of the components' metrics.",
        "",
        f"{_PRODUCT}.inner_product",
        products.lemma1,
        HOLDS,
    ),
    Claim(
        "eq11",
        "(11)",
        "The curvature form of a component, <C(U, V) X, Y>.",
        "",
        "fgmanifolds.geometry.curvature_form",
        proofs.definition2,
        HOLDS,
    ),
    Claim(
        "eq12",
        "(12)",
        "The curvature form is the sum of the components' forms.",
        "",
        f"{_PRODUCT}.curvature_form",
        products.lemma1,
        HOLDS,
    ),
    Claim(
        "eq13",
        "(13)",
        "The inner product of concatenations is the sum of inner products.",
        "",
        f"{_PRODUCT}.inner_product",
        proofs.eq13_16,
        HOLDS,
    ),
    Claim(
        "eq14",
        "(14)",
        "The inner product of sums is the sum of inner products.",
        "",
        f"{_PRODUCT}.inner_product",
        proofs.eq13_16,
        HOLDS,
    ),
    Claim(
        "eq15",
        "(15)",
        "The Lie bracket of sums is the sum of Lie brackets.",
        "",
        "fgmanifolds.verify.proofs",
        proofs.eq13_16,
        HOLDS,
    ),
    Claim(
        "eq16",
        "(16)",
        "The connection of a product is the sum of the components' connections.",
        "",
        "fgmanifolds.verify.proofs",
        proofs.eq13_16,
        HOLDS,
    ),
    Claim(
        "theorem1",
        "Theorem 1",
        "The norm of the gradient is the root of the sum over the components.",
        "",
        f"{_PRODUCT}.norm",
        products.theorem1,
        HOLDS,
    ),
    Claim(
        "eq17",
        "(17)",
        "As (6).",
        "",
        f"{_PRODUCT}.norm",
        products.theorem1,
        HOLDS,
    ),
    Claim(
        "eq18",
        "(18)",
        "The gradient on a product is the tuple of the components' gradients.",
        "",
        f"{_PRODUCT}.euclidean_to_riemannian_gradient",
        products.theorem1,
        HOLDS,
    ),
    Claim(
        "eq19",
        "(19)",
        "The squared norm of the gradient is the sum over the components.",
        "",
        f"{_PRODUCT}.norm",
        products.theorem1,
        HOLDS,
    ),
    Claim(
        "theorem2",
        "Theorem 2",
        "Loss and gradient of FG-SGD converge to those of a local minimum.",
        "To critical points: inf < 0 must be sup < 0, which no compact manifold satisfies.",
        "fgmanifolds.FGSGDSolver",
        convergence.theorem2,
        CORRECTED,
    ),
    Claim(
        "eq20",
        "(20)",
        "As (6).",
        "",
        f"{_PRODUCT}.norm",
        products.theorem1,
        HOLDS,
    ),
    Claim(
        "eq21",
        "(21)",
        "The distance is the sum of the components' distances.",
        "The Riemannian distance is the root of the sum of squares.",
        f"{_PRODUCT}.geodesic_distance, {_PRODUCT}.dist",
        proofs.eq21,
        CORRECTED,
    ),
    Claim(
        "eq22",
        "(22)",
        "Taylor bound of Psi.",
        "Of squared distances everywhere.",
        "fgmanifolds.verify.psi",
        proofs.eq22,
        CORRECTED,
    ),
    Claim(
        "eq23",
        "(23)",
        "Half the Hessian of rho^2 is at most 1 + c (rho + R).",
        "At most 1 + kappa^(1/2) rho, kappa = -(lowest curvature).",
        "fgmanifolds.steps.rules",
        proofs.eq23,
        CORRECTED,
    ),
    Claim(
        "eq24",
        "(24)",
        "The expected squared distance grows by r(t)^2 at most, beside the inner product.",
        "With the denominator inside of the expectation.",
        "fgmanifolds.verify.one_step",
        convergence.one_step,
        CORRECTED,
    ),
    Claim(
        "eq25",
        "(25)",
        "The expected growth of Psi by that of rho^2.",
        "With the denominator inside of the expectation.",
        "fgmanifolds.verify.proofs",
        proofs.eq25_26,
        CORRECTED,
    ),
    Claim(
        "eq26",
        "(26)",
        "The expected growth of Psi by the inner product and r(t)^2.",
        "2 r(t)^2.",
        "fgmanifolds.verify.proofs",
        proofs.eq25_26,
        CORRECTED,
    ),
    Claim(
        "eq27",
        "(27)",
        "The expected growth of Psi is at most 2 r(t)^2; a supermartingale.",
        "The supermartingale is Psi_t + 2 sum_{k >= t} r(k)^2.",
        "fgmanifolds.verify.supermartingale",
        convergence.supermartingale,
        CORRECTED,
    ),
    Claim(
        "eq28",
        "(28)",
        "The positive parts sum to at most sum r(t)^2.",
        "At most 2 sum r(t)^2.",
        "fgmanifolds.verify.proofs",
        proofs.eq28_29,
        CORRECTED,
    ),
    Claim(
        "eq29",
        "(29)",
        "The sum of the inner products along the path is finite.",
        "Seen as far as a path goes.",
        "fgmanifolds.verify.proofs",
        proofs.eq28_29,
        CORRECTED,
    ),
    Claim(
        "corollary1",
        "Corollary 1",
        "Where local minima are global, FG-SGD converges to a global minimum.",
        "They must be global on the manifold; that they are in the linear space is not enough.",
        "fgmanifolds.verify.corollary1",
        convergence.corollary1,
        CORRECTED,
    ),
    Claim(
        "corollary2",
        "Corollary 2",
        "Convergence on products of unit spheres with (7), where rho <= 1 / c.",
        "1 / c is not a length: c^(-1/2). The assumption is rarely met at the start.",
        "fgmanifolds.solver.corollary2",
        convergence.corollary2,
        CORRECTED,
    ),
    Claim(
        "eq30",
        "(30)",
        "As (3).",
        "With (31) as printed it ascends.",
        "fgmanifolds.torch.FGSGD",
        schemes.sign_of_the_step,
        CORRECTED,
    ),
    Claim(
        "c-a-projection",
        "Appendix C.A",
        "Gradients on the sphere are projected by (1 - |w|^2) mu.",
        "mu - w <w, mu>.",
        "fgmanifolds.geometry.Sphere.projection",
        maps.complexity_projection,
        FAILS,
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
        "table7",
        "Table VII",
        "Tangent spaces and projections.",
        "For matrices: <w, u> = 0, ddiag(w^T u) = 0, sym(w^T u) = 0.",
        "fgmanifolds.geometry.Component.projection",
        maps.table7,
        CORRECTED,
    ),
    Claim(
        "table8",
        "Table VIII",
        "Exponential maps and retractions.",
        "With a positive diagonal of R in the QR decomposition.",
        "fgmanifolds.geometry.Component.exp",
        maps.table8,
        CORRECTED,
    ),
    Claim(
        "eq31",
        "(31)",
        "mu = theta_mu mu - theta_E grad.",
        "mu = theta_mu mu + theta_E grad.",
        "fgmanifolds.torch.FGSGD",
        schemes.sign_of_the_step,
        CORRECTED,
    ),
    Claim(
        "eq32",
        "(32)",
        "The sphere with |w|^2 = R, of radius R.",
        "|w| = R.",
        "fgmanifolds.geometry.Sphere",
        maps.eq32,
        CORRECTED,
    ),
    Claim(
        "eq33",
        "(33)",
        "Exponential map of the scaled sphere.",
        "w cos(|v| / R) + R v / |v| sin(|v| / R).",
        "fgmanifolds.geometry.Sphere.exp",
        maps.eq33,
        CORRECTED,
    ),
    Claim(
        "example1",
        "Example 1",
        "Sets of a 3 x 3 x 4 x 6 tensor for PI, PO and PIO.",
        "",
        "fgmanifolds.torch.schemes",
        schemes.example1,
        HOLDS,
    ),
)

#: The statements by name, in the order of the paper.
CLAIMS: dict[str, Claim] = {claim.name: claim for claim in _ENTRIES}
