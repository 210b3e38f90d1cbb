"""Parameters, multiply-adds and shapes of every network, against arithmetic and the literature."""

import pytest
import torch

from fgmanifolds.capacity import ARCHITECTURES
from fgmanifolds.models import MODELS, build_model, describe, layer_costs
from tests.models import hand

PAPER = ((72, 144, 264, 528), (264, 528, 1032, 2064))
ORIGINAL = ((64, 128, 256, 512), (256, 512, 1024, 2048))
IMAGENET = {"kind": "bottleneck", "option": "B", "large": True, "first": 64}
SMALL = {"kind": "basic", "option": "A", "large": False}
TABLE_X, SIXTEENTH = (24, 48, 72, 144), (16, 32, 64, 128)


def deep(blocks, widths, **more):
    return lambda: hand.residual(224, 1000, blocks, *widths, **IMAGENET, **more)


def small(n, *widths, classes=10, **more):
    return lambda: hand.residual(
        32, classes, (n, n, n), widths, widths, **SMALL, first=widths[0], **more
    )


def eighteen(*widths, option="B"):
    return lambda: hand.residual(
        224, 1000, (2,) * 4, widths, widths, kind="basic", option=option, large=True,
        first=widths[0],
    )  # fmt: skip


FIFTY, MORE = (3, 4, 6, 3), (3, 4, 23, 3)
HALF = tuple(tuple(w // 2 for w in ws) for ws in PAPER)
NEXT = ((128, 256, 512, 1024), (256, 512, 1024, 2048))
#: Network, its options, the computation by hand, and parameters in the literature.
CASES = [
    ("resnet18", {}, eighteen(72, 144, 288, 576), None),
    ("resnet18", {"widths": "original"}, eighteen(64, 128, 256, 512), 11_689_512),
    ("resnet18", {"shortcut": "A"}, eighteen(72, 144, 288, 576, option="A"), None),
    ("resnet20", {}, small(3, 24, 48, 96), None),
    ("resnet44", {}, small(7, 24, 48, 96), None),
    ("resnet44", {"widths": "original"}, small(7, 16, 32, 64), 658_586),
    ("resnet44", {"widths": "quarter"}, small(7, 12, 24, 48), None),
    ("rcd110", {}, small(18, 24, 48, 72), None),
    ("rcd110", {"widths": "original"}, small(18, 16, 32, 64), 1_727_962),
    ("rsd110", {}, small(18, 24, 48, 72), None),
    ("rsd110", {"widths": "original"}, small(18, 16, 32, 64), 1_727_962),
    ("se_resnet110", {}, small(18, 24, 48, 72, squeezed=(2, 3, 5)), None),
    ("resnet50", {}, deep(FIFTY, PAPER), None),
    ("resnet50", {"widths": "original"}, deep(FIFTY, ORIGINAL), 25_557_032),
    ("resnet101", {}, deep(MORE, PAPER), None),
    ("resnet101", {"widths": "original"}, deep(MORE, ORIGINAL), 44_549_160),
    ("se_resnet50", {}, deep(FIFTY, PAPER, squeezed=TABLE_X), None),
    ("se_resnet50", {"widths": "original"}, deep(FIFTY, ORIGINAL, squeezed=SIXTEENTH), 28_088_024),
    ("se_resnet101", {}, deep(MORE, PAPER, squeezed=TABLE_X), None),
    ("resnext50_32x4d", {}, deep(FIFTY, NEXT, groups=(32,) * 4), 25_028_904),
    ("deeproots50", {}, deep(FIFTY, ORIGINAL, groups=(4, 2, 1, 1)), None),
    ("deeproots50", {"wss": True}, deep(FIFTY, ORIGINAL, groups=(4, 2, 1, 1)), None),
    ("deeproots50", {"roots": 8}, deep(FIFTY, ORIGINAL, groups=(8, 4, 2, 1)), None),
    ("deeproots50", {"widths": "paper"}, deep(FIFTY, PAPER, groups=(4, 2, 1, 1)), None),
    ("mobilenet_v2", {}, lambda: hand.mobilenet(224, 1000), 3_504_872),
    ("cnn", {}, lambda: hand.three_convolutions(32, 10, 24), None),
    ("cnn", {"width": 48}, lambda: hand.three_convolutions(32, 10, 48), None),
]


@pytest.mark.parametrize(("name", "options", "by_hand", "known"), CASES)
def test_counts(name, options, by_hand, known):
    counted = by_hand()
    classes, side = (10, 32) if name in SMALL_NETWORKS else (1000, 224)
    assert describe(name, side, classes, **options) == (counted.parameters, counted.multiply_adds)
    if known is not None:
        assert counted.parameters == known


SMALL_NETWORKS = ("cnn", "resnet20", "resnet44", "rcd110", "rsd110", "se_resnet110")


def test_every_network_is_counted():
    assert {case[0] for case in CASES} == set(MODELS)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_have_the_shapes_of_the_hand_computation(name):
    """Map sizes after the stride, and no layers where shortcuts have no parameters."""
    counts = {
        "ResNet-18": eighteen(72, 144, 288, 576),
        "ResNet-44": small(7, 24, 48, 96),
        "RCD-110": small(18, 24, 48, 72),
        "ResNet-50": deep(FIFTY, PAPER),
        "SENet-ResNet-50": deep(FIFTY, PAPER),
        "ResNet-101": deep(MORE, PAPER),
    }
    found = [
        (layer.inputs, layer.outputs, layer.kernel, layer.size)
        for layer in ARCHITECTURES[name]
        if ".se." not in layer.name
    ]
    assert sorted(found) == sorted(counts[name]().convs)


def test_bottlenecks_put_the_stride_on_the_3x3():
    layers = {layer.name: layer for layer in ARCHITECTURES["ResNet-50"]}
    assert layers["layer2.0.conv1"].size == 56
    assert layers["layer2.0.conv2"].size == layers["layer2.0.shortcut.conv"].size == 28


def test_small_stem_keeps_the_maps_of_cifar():
    with torch.device("meta"):
        model = build_model("se_resnet101", 100, stem="small")
        layers = layer_costs(model, torch.empty(1, 3, 32, 32))
    sizes = [layer.size[0] for layer in layers if layer.name.endswith("conv2")]
    assert sorted(set(sizes), reverse=True) == [32, 16, 8, 4]


def test_resnet44_has_the_kernels_of_the_paper():
    """15 layers of 24, 14 of 48 and 14 of 96 (Appendix C.C)."""
    convs = [layer.outputs for layer in ARCHITECTURES["ResNet-44"]]
    assert [convs.count(width) for width in (24, 48, 96)] == [15, 14, 14]
    assert sum(layer.inputs * layer.outputs for layer in ARCHITECTURES["ResNet-44"]) == 163_656
