"""The paper's statements as code that measures them."""

from fgmanifolds.theory.architectures import ARCHITECTURES, LayerShape
from fgmanifolds.theory.bounds import BOUNDS, LayerNorms, generalization_bounds
from fgmanifolds.theory.capacity import (
    BoundRecorder,
    layer_norms,
    layer_shapes,
    margin_quantile,
    model_bounds,
)
from fgmanifolds.theory.claims import CLAIMS, Claim
from fgmanifolds.theory.convergence import (
    corollary1,
    corollary2,
    denominator_bias,
    one_step,
    psi,
    supermartingale,
    theorem2,
)
from fgmanifolds.theory.finding import VERDICTS, Finding
from fgmanifolds.theory.norms import (
    Norms,
    bai_yin,
    concatenated_norms,
    norm_ranges,
    table2,
    top_singular_value,
)
from fgmanifolds.theory.products import lemma1, remark1, theorem1, two_spheres
from fgmanifolds.theory.proposition import group_norms, proposition1_norms
from fgmanifolds.theory.verification import Verified, claims_table, verify

__all__ = [
    "ARCHITECTURES",
    "BOUNDS",
    "CLAIMS",
    "VERDICTS",
    "BoundRecorder",
    "Claim",
    "Finding",
    "LayerNorms",
    "LayerShape",
    "Norms",
    "Verified",
    "bai_yin",
    "claims_table",
    "concatenated_norms",
    "corollary1",
    "corollary2",
    "denominator_bias",
    "generalization_bounds",
    "group_norms",
    "layer_norms",
    "layer_shapes",
    "lemma1",
    "margin_quantile",
    "model_bounds",
    "norm_ranges",
    "one_step",
    "proposition1_norms",
    "psi",
    "remark1",
    "supermartingale",
    "table2",
    "theorem1",
    "theorem2",
    "top_singular_value",
    "two_spheres",
    "verify",
]
