"""Where the data sets' official files lie, and their SHA-256 checksums."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SOURCES", "SourceFile"]


@dataclass(frozen=True)
class SourceFile:
    """An official file: its name, its address and its SHA-256 checksum."""

    name: str
    base: str
    sha256: str

    @property
    def address(self) -> str:
        """Where it is downloaded from."""
        return f"{self.base}/{self.name}"


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
_CIFAR = "https://www.cs.toronto.edu/~kriz"

#: The IDX files, in the order: training images and labels, test images and labels.
IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

_MNIST_SUMS = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
_FASHION_SUMS = (
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)

#: Official files of each data set.
SOURCES: dict[str, tuple[SourceFile, ...]] = {
    "mnist": tuple(map(SourceFile, IDX_FILES, [_MNIST] * 4, _MNIST_SUMS)),
    "fashion-mnist": tuple(map(SourceFile, IDX_FILES, [_FASHION] * 4, _FASHION_SUMS)),
    "cifar10": (
        SourceFile(
            "cifar-10-python.tar.gz",
            _CIFAR,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
    ),
    "cifar100": (
        SourceFile(
            "cifar-100-python.tar.gz",
            _CIFAR,
            "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        ),
    ),
}
