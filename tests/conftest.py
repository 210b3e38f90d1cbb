"""Settings of the whole suite."""

import matplotlib as mpl
from hypothesis import settings

# Property tests draw the same examples in every run.
settings.register_profile("reproducible", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("reproducible")
mpl.use("Agg")
