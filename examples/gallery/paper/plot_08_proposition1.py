"""
Proposition 1: norms of groups of the paper's networks
======================================================

With the radii of eq. (2) every PI, PO and PIO group has Frobenius norm at most 1, and so has all
else that lies below it, such as the spectral norm. The worst sum of a row does not stay below 1.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds.capacity import ARCHITECTURES, proposition1_norms

names = list(ARCHITECTURES)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (norm, label) in zip(
    axes, {"frobenius": "largest Frobenius norm", "rows": "largest row sum"}.items(), strict=True
):
    for i, scheme in enumerate(("pi", "po", "pio")):
        values = [proposition1_norms(name, scheme=scheme)[norm].max() for name in names]
        ax.barh(np.arange(len(names)) + 0.26 * (i - 1), values, 0.24, label=scheme.upper())
    ax.axvline(1, color="black", linewidth=1)
    ax.set(xlabel=label)
    ax.grid(axis="x", alpha=0.3)
axes[0].set_yticks(range(len(names)), names)
axes[0].invert_yaxis()
axes[1].legend(frameon=False)
