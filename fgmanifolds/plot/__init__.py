"""Pictures of training and of geometry.

Every function gives a matplotlib ``Figure`` that belongs to nobody else: show
it in Jupyter, save it, or put it into a page.
"""

from fgmanifolds.plot.explorer import explore, radius_slider, save_page
from fgmanifolds.plot.geometry import curvature_histogram, geodesic, two_sphere
from fgmanifolds.plot.study import (
    study_angles,
    study_curves,
    study_errors,
    study_search,
    study_targets,
)
from fgmanifolds.plot.training import (
    bound_curves,
    errors_by_method,
    training_curves,
    validation_curves,
)
from fgmanifolds.plot.weight_sets import scheme_sets, weight_sets

__all__ = [
    "bound_curves",
    "curvature_histogram",
    "errors_by_method",
    "explore",
    "geodesic",
    "radius_slider",
    "save_page",
    "scheme_sets",
    "study_angles",
    "study_curves",
    "study_errors",
    "study_search",
    "study_targets",
    "training_curves",
    "two_sphere",
    "validation_curves",
    "weight_sets",
]
