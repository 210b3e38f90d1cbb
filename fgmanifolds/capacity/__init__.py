"""Norms of weights and of their groups, and the generalization bounds that they enter."""

from fgmanifolds.capacity.bounds import BOUNDS, LayerNorms, generalization_bounds
from fgmanifolds.capacity.groups import group_norms, proposition1_norms
from fgmanifolds.capacity.networks import (
    BoundRecorder,
    layer_norms,
    layer_shapes,
    margin_quantile,
    model_bounds,
)
from fgmanifolds.capacity.norms import (
    Norms,
    bai_yin,
    concatenated_norms,
    norm_ranges,
    table2,
    top_singular_value,
)
from fgmanifolds.capacity.shapes import ARCHITECTURES, LayerShape

__all__ = [
    "ARCHITECTURES",
    "BOUNDS",
    "BoundRecorder",
    "LayerNorms",
    "LayerShape",
    "Norms",
    "bai_yin",
    "concatenated_norms",
    "generalization_bounds",
    "group_norms",
    "layer_norms",
    "layer_shapes",
    "margin_quantile",
    "model_bounds",
    "norm_ranges",
    "proposition1_norms",
    "table2",
    "top_singular_value",
]
