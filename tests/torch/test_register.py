"""A manifold and a layer type of one's own, in everything that takes the built-in ones."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from examples.centred_kernels import CentredOps, CentredSphere
from fgmanifolds import Component, ScaledProductManifold, Sphere
from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch import (
    FGSGD,
    Features,
    FGAdam,
    Grid,
    LayerReader,
    ManifoldOps,
    POMAdapter,
    register_component,
    register_layer,
)
from fgmanifolds.torch.ops.manifolds import OPS

NAME = "centred_sphere"


@pytest.fixture(autouse=True, scope="module")
def _registered():
    register_component(NAME, CentredSphere, CentredOps())
    yield
    del COMPONENTS[NAME], OPS[NAME]


def test_the_numpy_side_in_a_product():
    product = ScaledProductManifold([CentredSphere(3, 3), Sphere(4, 1)], scales=[2.0, 0.5])
    point = product.random_point(0)
    assert abs(point[0].sum()) < 1e-12
    assert np.linalg.norm(point[0]) == pytest.approx(2.0)
    u, v = product.random_tangent_vector(point, 1), product.random_tangent_vector(point, 2)
    assert abs(u[0].sum()) < 1e-12
    low, high = product.sectional_curvature_bounds
    assert low <= product.sectional_curvature(point, u, v) <= high
    # Within one component it is that of a sphere of radius 2.
    a, b = ([w[0], 0 * w[1]] for w in (u, v))
    assert product.sectional_curvature(point, a, b) == pytest.approx(0.25)


@pytest.mark.parametrize("make", [FGSGD, FGAdam])
@pytest.mark.parametrize("scheme", ["pio", "kernel", "tensor"])
def test_adapter_and_optimizers(make, scheme):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.Flatten(),
        nn.Linear(8 * 16, 10),
    )
    manifolds = (NAME, "stiefel") if scheme == "pio" else (NAME,)
    adapter = POMAdapter(net, scheme, manifolds, exclude=("5",)).initialize_()
    optimizer = make(adapter, lr=0.1)
    x, y = torch.randn(32, 3, 8, 8), torch.randint(0, 10, (32,))
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    adapter.update_scales_()
    assert losses[-1] < losses[0]
    assert adapter.residuals()[NAME] < 1e-5
    if scheme == "kernel":
        sums = net[3].weight.detach().sum((2, 3))
        assert sums.abs().max() < 1e-5
    assert NAME in adapter.summary().columns
    POMAdapter(net, scheme, manifolds, exclude=("5",)).load_state_dict(adapter.state_dict())


def test_retractions_that_it_has_not_are_told():
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    adapter = POMAdapter(net, "kernel", (NAME,), retraction="exp").initialize_()
    net[0].weight.grad = torch.ones_like(net[0].weight)
    with pytest.raises(NotImplementedError, match="CentredOps gives no exp"):
        FGSGD(adapter, lr=0.1).step()


def test_wrong_registrations():
    with pytest.raises(ValueError, match="name='sphere' is taken by Sphere"):
        register_component("sphere", CentredSphere, CentredOps())
    with pytest.raises(TypeError, match=r"a subclass of fgmanifolds\.Component is needed"):
        register_component("other", CentredOps, CentredOps())
    with pytest.raises(TypeError, match="an instance of a subclass of ManifoldOps"):
        register_component("other", CentredSphere, CentredOps)
    with pytest.raises(TypeError, match=r"a subclass of nn\.Module is needed"):
        register_layer("Bilinear", LayerReader)
    assert issubclass(CentredSphere, Component)
    assert issubclass(CentredOps, ManifoldOps)


class Masked(nn.Module):
    """A linear layer under another name for its weight."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(outputs, inputs))

    def forward(self, x):
        return x @ self.kernel.T


class MaskedReader(LayerReader):
    def parameters(self, module):
        return ("kernel",)

    def grid(self, module, parameter, weight):
        return Grid(*weight.shape)

    def features(self, module, parameter, args, kwargs):
        return (Features(args[0]),)


def test_a_layer_type_of_ones_own():
    net = nn.Sequential(Masked(6, 8), nn.ReLU(), Masked(8, 6))
    with pytest.raises(ValueError, match="no weight to put on a manifold"):
        POMAdapter(net)
    register_layer(Masked, MaskedReader())
    adapter = POMAdapter(net, "pi", ("stiefel", "sphere")).initialize_()
    assert list(adapter.layers) == ["0.kernel", "2.kernel"]
    net(3 * torch.randn(40, 6)).square().mean().backward()
    FGSGD(adapter, lr=0.1).step()
    assert (adapter.spreads("0.kernel") > 1.1).all()
    assert adapter.residual() < 1e-6
    assert all(math.isfinite(x) for x in adapter.layers["0.kernel"].radius.tolist())
