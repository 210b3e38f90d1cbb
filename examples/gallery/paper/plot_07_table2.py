"""
Table II: norms of points of the components
===========================================

The table gives one number for each norm and manifold. The spectral and Frobenius columns are
right where they are constant; the third column, the sum of the norms of the rows, is a range on
all three manifolds.
"""

import matplotlib.pyplot as plt

from fgmanifolds import Oblique, Sphere, Stiefel
from fgmanifolds.capacity import table2

components = {"sphere": Sphere(5, 3), "oblique": Oblique(5, 3), "Stiefel": Stiefel(5, 3)}
fig, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for ax, norm in zip(axes, ("spectral", "frobenius", "rows"), strict=True):
    for place, component in enumerate(components.values()):
        row = table2(component).loc[norm]
        ax.plot([row["lowest"], row["highest"]], [place] * 2, color="lightgray", linewidth=10,
                solid_capstyle="butt", label="range" if place == 0 else None)  # fmt: skip
        ax.plot([row["lowest measured"], row["highest measured"]], [place] * 2, "|-",
                color="tab:blue", label="2,000 random points" if place == 0 else None)  # fmt: skip
        ax.plot(
            row["printed"], place, "x", color="tab:red", label="printed" if place == 0 else None
        )
    ax.set_yticks(range(3), components if norm == "spectral" else [])
    ax.set(title={"rows": "2 -> 1"}.get(norm, norm), ylim=(2.6, -0.6))
    ax.set_xlim(left=0)
    ax.grid(axis="x", alpha=0.3)
fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
print(table2(Stiefel(5, 3)).to_string(float_format="%.3f"))
