"""Parameters and multiply-adds of the paper's networks by arithmetic alone, from its tables."""

from dataclasses import dataclass, field


@dataclass
class Count:
    """Running sums; `side` is that of the present maps, `wide` their channels."""

    side: int
    wide: int = 3
    parameters: int = 0
    multiply_adds: int = 0
    convs: list = field(default_factory=list)

    def conv(self, outputs, kernel, stride=1, groups=1, inputs=None, side=None):
        """A convolution and its batch normalisation; on the trunk unless `inputs` are given."""
        trunk = inputs is None
        inputs = self.wide if trunk else inputs
        size = -(-(self.side if side is None else side) // stride)
        weights = kernel * kernel * (inputs // groups) * outputs
        self.parameters += weights + 2 * outputs
        self.multiply_adds += weights * size * size
        self.convs.append((inputs, outputs, kernel, size))
        if trunk:
            self.wide, self.side = outputs, size

    def linear(self, inputs, outputs):
        """A matrix with biases."""
        self.parameters += (inputs + 1) * outputs
        self.multiply_adds += inputs * outputs


def stem(side, width, large):
    count = Count(side)
    count.conv(width, 7 if large else 3, 2 if large else 1)
    if large:
        count.side //= 2
    return count


def residual_block(count, middle, outputs, stride, *, kind, option, squeezed=0, groups=1):
    wide, side = count.wide, count.side
    if kind == "basic":
        count.conv(middle, 3, stride)
        count.conv(outputs, 3)
    else:
        count.conv(middle, 1)
        count.conv(middle, 3, stride, groups)
        count.conv(outputs, 1)
    if squeezed:
        count.linear(outputs, squeezed)
        count.linear(squeezed, outputs)
    if option == "B" and (stride > 1 or wide != outputs):
        count.conv(outputs, 1, stride, inputs=wide, side=side)


def residual(side, classes, blocks, middle, outputs, *, kind, option, large, first, **more):
    """Residual network; `more` has a tuple for each of squeezed and groups."""
    count = stem(side, first, large)
    for stage, (n, m, d) in enumerate(zip(blocks, middle, outputs)):
        extra = {key: values[stage] for key, values in more.items()}
        for block in range(n):
            stride = 2 if stage and not block else 1
            residual_block(count, m, d, stride, kind=kind, option=option, **extra)
    count.linear(count.wide, classes)
    return count


def mobilenet(side, classes):
    """Table 2 of MobileNetV2."""
    count = Count(side)
    count.conv(32, 3, 2)
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    for t, c, n, s in [*table, (6, 160, 3, 2), (6, 320, 1, 1)]:
        for block in range(n):
            wide = t * count.wide
            if t > 1:
                count.conv(wide, 1)
            count.conv(wide, 3, 1 if block else s, groups=wide)
            count.conv(c, 1)
    count.conv(1280, 1)
    count.linear(1280, classes)
    return count


def three_convolutions(side, classes, width):
    """Each of twice the channels of the one before; a pooling after each of the first two."""
    count = Count(side)
    for factor in (1, 2, 4):
        count.conv(factor * width, 3)
        count.side //= 2
    count.linear(count.wide, classes)
    return count
