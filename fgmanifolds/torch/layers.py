"""How a module's weights are read as grids of kernels, and where their input features are.

One reader a module type, found by :func:`reader_of`. To put another type of layer on
manifolds, write a :class:`LayerReader` and register it with :func:`register_layer`.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.rnn import PackedSequence

__all__ = ["Features", "Grid", "LayerReader", "reader_of", "register_layer"]


@dataclass(frozen=True)
class Grid:
    """A weight as a grid of kernels: how its axes are to be read.

    Attributes
    ----------
    groups : int
        Groups of a convolution, or matrices packed into one weight.
    outputs, inputs : int
        Numbers D / groups and C / groups of one group (D and C of one packed matrix).
    kernel : (int, int)
        Shape A x B of a kernel as stored; (1, 1) for matrices.
    transposed : bool
        Whether inputs come before outputs in storage.
    parts : tuple of str
        Names of the packed matrices; empty for groups of a convolution.
    shared_input : bool
        Whether all packed matrices read the same features.
    links : int array of shape (D, C / groups), optional
        Input channel of each kernel, where each output sees inputs of its own.
    """

    outputs: int
    inputs: int
    kernel: tuple[int, int] = (1, 1)
    groups: int = 1
    transposed: bool = False
    parts: tuple[str, ...] = ()
    shared_input: bool = False
    links: NDArray[np.int64] | None = field(default=None, compare=False)

    @property
    def channels(self) -> int:
        """Number of input channels whose spread is measured."""
        return self.inputs if self.shared_input else self.groups * self.inputs

    def channel(self, group: Any, index: Any) -> Any:
        """Input channel of the layer that input number `index` of a group reads.

        Parameters
        ----------
        group, index : int or array
        """
        return index if self.shared_input else group * self.inputs + index

    @property
    def fan_in(self) -> int:
        """Inputs of one output, b = A B C of eq. (2)."""
        return self.kernel[0] * self.kernel[1] * self.inputs

    @property
    def fan_out(self) -> int:
        """A B D, the reading of b-hat that eq. (2) generalises; of one packed matrix."""
        outputs = self.outputs if self.parts else self.outputs * self.groups
        return self.kernel[0] * self.kernel[1] * outputs


@dataclass(frozen=True)
class Features:
    """Features that come into a layer, and the axis of their channels."""

    tensor: Tensor
    axis: int = -1


class LayerReader(abc.ABC):
    """Reads the weights of one type of module.

    Attributes
    ----------
    only_by_name : bool
        Whether a weight lies on POMs only if an override names it.
    """

    only_by_name: bool = False

    def parameters(self, module: nn.Module) -> Sequence[str]:
        """Names of the module's weights that can lie on POMs; one is called as the module is."""
        return ("weight",)

    @abc.abstractmethod
    def grid(self, module: nn.Module, parameter: str, weight: Tensor) -> Grid:
        """Read the axes of a weight.

        Parameters
        ----------
        module : nn.Module
        parameter : str
            Name of the parameter in the module.
        weight : Tensor
        """

    def features(
        self, module: nn.Module, parameter: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Sequence[Features]:
        """Features that a weight is applied to, from the arguments of the module's forward pass.

        Their channels together are those of the grid. Nothing: the spread is not measured,
        and stays 1.

        Parameters
        ----------
        module : nn.Module
        parameter : str
            Name of the parameter in the module.
        args : tuple
            Positional arguments of the module's call.
        kwargs : mapping
            Its keyword arguments.
        """
        return ()

    def measures(self, module: nn.Module, parameter: str) -> bool:
        """Whether :meth:`features` finds any.

        Parameters
        ----------
        module : nn.Module
        parameter : str
            Name of the parameter in the module.
        """
        return type(self).features is not LayerReader.features


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str) -> Any:
    return args[place] if place < len(args) else kwargs[name]


class _Convolution(LayerReader):
    """Convolutions of any dimension, grouped, transposed; kernels of three axes are A x (B E)."""

    def grid(self, module: nn.Module, parameter: str, weight: Tensor) -> Grid:
        first, second, height, *rest = weight.shape
        assert isinstance(module, _ConvNd)
        groups, kernel = module.groups, (height, int(np.prod(rest, dtype=int)))
        if module.transposed:
            return Grid(second, first // groups, kernel, groups, transposed=True)
        # Convolutions whose outputs see inputs of their own say which.
        links = getattr(module, "input_channels", None)
        if links is not None:
            links = links.cpu().numpy()
        return Grid(first // groups, second, kernel, groups, links=links)

    def features(
        self, module: nn.Module, parameter: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Sequence[Features]:
        x = _argument(args, kwargs, 0, "input")
        assert isinstance(module, _ConvNd)
        return (Features(x, axis=-1 - len(module.kernel_size)),)


class _Linear(LayerReader):
    def grid(self, module: nn.Module, parameter: str, weight: Tensor) -> Grid:
        return Grid(*weight.shape)

    def features(
        self, module: nn.Module, parameter: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Sequence[Features]:
        return (Features(_argument(args, kwargs, 0, "input")),)


class _Embedding(LayerReader):
    """Symbols are inputs; their features are indices, which have no spread."""

    only_by_name = True

    def grid(self, module: nn.Module, parameter: str, weight: Tensor) -> Grid:
        symbols, width = weight.shape
        return Grid(width, symbols, transposed=True)


#: Features that a weight of attention is applied to, with their places among the arguments.
_ATTENTION = {
    "in_proj_weight": (("query", 0), ("key", 1), ("value", 2)),
    "q_proj_weight": (("query", 0),),
    "k_proj_weight": (("key", 1),),
    "v_proj_weight": (("value", 2),),
}


class _Attention(LayerReader):
    """``nn.MultiheadAttention``; its output projection is a linear layer of its own."""

    def parameters(self, module: nn.Module) -> Sequence[str]:
        return [name for name in _ATTENTION if getattr(module, name) is not None]

    def grid(self, module: nn.Module, parameter: str, weight: Tensor) -> Grid:
        rows, width = weight.shape
        parts = tuple(name for name, _ in _ATTENTION[parameter])
        if len(parts) == 1:
            return Grid(rows, width)
        return Grid(rows // len(parts), width, groups=len(parts), parts=parts)

    def features(
        self, module: nn.Module, parameter: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Sequence[Features]:
        return [
            Features(_argument(args, kwargs, place, name)) for name, place in _ATTENTION[parameter]
        ]


#: Gates in the order of storage.
_GATES = {
    "LSTM": ("input gate", "forget gate", "cell", "output gate"),
    "GRU": ("reset gate", "update gate", "candidate"),
}


class _Recurrent(LayerReader):
    """RNN, GRU and LSTM: each gate's matrix is a part.

    The features of the first layer come in from outside; hidden states stay inside of the
    module, so that the spread of all other weights is not measured.
    """

    def parameters(self, module: nn.Module) -> Sequence[str]:
        return [name for name, _ in module.named_parameters(recurse=False) if "weight" in name]

    def grid(self, module: nn.Module, parameter: str, weight: Tensor) -> Grid:
        rows, width = weight.shape
        assert isinstance(module, nn.RNNBase)
        parts = _GATES.get(module.mode, ())
        if parameter.startswith("weight_hr") or not parts:
            return Grid(rows, width)
        return Grid(rows // len(parts), width, groups=len(parts), parts=parts, shared_input=True)

    def measures(self, module: nn.Module, parameter: str) -> bool:
        return parameter.startswith("weight_ih_l0")

    def features(
        self, module: nn.Module, parameter: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Sequence[Features]:
        x = _argument(args, kwargs, 0, "input")
        return (Features(x.data if isinstance(x, PackedSequence) else x),)


class PlainParameter(LayerReader):
    """A parameter of any module, named by the user: a matrix, the last axis its inputs."""

    def grid(self, module: nn.Module, parameter: str, weight: Tensor) -> Grid:
        """Read all axes but the last as outputs; a vector is a matrix of one column."""
        if weight.dim() < 2:
            return Grid(weight.numel(), 1)
        return Grid(weight.shape[:-1].numel(), weight.shape[-1])


_READERS: dict[type[nn.Module], LayerReader] = {
    _ConvNd: _Convolution(),
    nn.Linear: _Linear(),
    nn.Embedding: _Embedding(),
    nn.MultiheadAttention: _Attention(),
    nn.RNNBase: _Recurrent(),
}


def register_layer(module_type: type[nn.Module], reader: LayerReader) -> None:
    """Let adapters made from now on read modules of a type, and of its subclasses.

    Parameters
    ----------
    module_type : type
        A subclass of ``nn.Module``.
    reader : LayerReader

    Raises
    ------
    TypeError
        If they are not.
    """
    if not (isinstance(module_type, type) and issubclass(module_type, nn.Module)):
        raise TypeError(f"module_type={module_type!r}: a subclass of nn.Module is needed.")
    if not isinstance(reader, LayerReader):
        raise TypeError(f"reader={reader!r}: an instance of a LayerReader is needed.")
    _READERS[module_type] = reader


def reader_of(module: nn.Module) -> LayerReader | None:
    """Give the reader of the nearest type among a module's own and those that it derives from."""
    return next((_READERS[cls] for cls in type(module).__mro__ if cls in _READERS), None)


def weights_of(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, LayerReader]]:
    """Weights of a model that could lie on POMs: their names, modules, attributes and readers."""
    for name, module in model.named_modules():
        reader = reader_of(module)
        for parameter in () if reader is None else reader.parameters(module):
            full = name if parameter == "weight" else f"{name}.{parameter}".lstrip(".")
            assert reader is not None
            yield full, module, parameter, reader
