"""A model: the Transformer with squared ReLU (So et al. 2021, arXiv 2109.08668) in place of the gated MLP.

Four times as wide as the model, it has as many parameters. B rows, P positions, D width, F width of the MLP.
"""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from bytegap.accounting.flops import Costs, Matmul
from bytegap.accounting.params import Parameters
from bytegap.models import transformer
from bytegap.models.transformer import Shape


def ladder(*, vocabulary: int, positions: int, aims: bool = False) -> Iterator[Shape]:
    """Shapes in ascending size, without end: the planner takes what fits a budget."""
    for shape in transformer.ladder(vocabulary=vocabulary, positions=positions, aims=aims):
        yield shape.model_copy(update={"hidden": 4 * shape.width})


def parameters(shape: Shape) -> Parameters:
    """Counted by group; a test holds them against the built model's."""
    table = shape.vocabulary * shape.width
    layer = 4 * shape.width**2 + 2 * shape.width * shape.hidden + 2 * shape.width
    return Parameters(
        embedding=table + shape.aims * shape.positions * shape.width,
        head=table,
        non_embedding=shape.depth * layer + shape.width,
    )


def costs(shape: Shape) -> Costs:
    """The matmuls of one forward; a test holds them against torch's counter."""
    return Costs(
        body=(
            Matmul("attention projections", shape.width, shape.width, 4 * shape.depth),
            Matmul("mlp", shape.width, shape.hidden, 2 * shape.depth),
        ),
        head=Matmul("head", shape.width, shape.vocabulary),
        attention_layers=shape.depth,
        attention_width=shape.width,
    )


def build(shape: Shape) -> "Squared":
    """The model, its weights not yet initialised."""
    return Squared(shape)


class SquaredReLU(nn.Module):
    """down(relu(up x)^2)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BPD: Tensor) -> Tensor:
        """Transform each position alone; same shape."""
        x_BPF = functional.relu(self.up_proj(x_BPD))
        return self.down_proj(x_BPF * x_BPF)


class Squared(transformer.Transformer):
    """Everything else, `features`, `lm_head`, `layers` and `initialise` among it, is the Transformer's."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        for layer in self.layers:
            layer.mlp = SquaredReLU(shape.width, shape.hidden)
