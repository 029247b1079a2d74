"""A model family: the Transformer with squared ReLU (So et al. 2021, arXiv 2109.08668) in place of the gated MLP.

With an MLP four times as wide as the model it has as many parameters.
B sequences, P positions, D d_model, F width of the MLP.
"""

from collections.abc import Iterator, Mapping

from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from bytegap.cost.flops import Costs, Matmul
from bytegap.cost.params import Parameters
from bytegap.models.base import ModelFamily
from bytegap.models.transformer import Transformer, TransformerConfig, TransformerFamily


class SquaredConfig(TransformerConfig):
    """Sizes of one Transformer with a squared-ReLU MLP, which costs less than a gated one."""

    def build(self) -> "Squared":
        """The network, its weights not yet initialized."""
        return Squared(self)

    def parameters(self) -> Parameters:
        """By group; a test compares them with the built model."""
        table = self.n_ids * self.d_model
        layer = 4 * self.d_model**2 + 2 * self.d_model * self.d_ff + 2 * self.d_model
        return Parameters(
            embedding=table,
            head=table,
            non_embedding=self.n_layers * layer + self.d_model,
        )

    def costs(self) -> Costs:
        """The matmuls of one forward; a test compares them with torch's counter."""
        return Costs(
            body=(
                Matmul("attention projections", self.d_model, self.d_model, 4 * self.n_layers),
                Matmul("mlp", self.d_model, self.d_ff, 2 * self.n_layers),
            ),
            head=Matmul("head", self.d_model, self.n_ids),
            attention_layers=self.n_layers,
            attention_width=self.d_model,
        )


@dataclass(frozen=True)
class SquaredFamily(ModelFamily):
    """Squared-ReLU Transformers, of the Transformer's own sizes."""

    def sizes(self, *, n_ids: int, max_positions: int) -> Iterator[SquaredConfig]:
        """Configs in ascending size, without end: the plan takes those that fit a budget."""
        for config in TransformerFamily().sizes(n_ids=n_ids, max_positions=max_positions):
            yield SquaredConfig(**config.model_dump() | {"d_ff": 4 * config.d_model})

    def config(self, fields: Mapping[str, object]) -> SquaredConfig:
        """The config that a plan stored."""
        return SquaredConfig.model_validate(dict(fields))


class SquaredReLU(nn.Module):
    """An MLP with a squared ReLU: down(relu(up x)^2)."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(d_model, d_ff, bias=False)
        self.down_proj = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x_BPD: Tensor) -> Tensor:
        """Transform each position alone; same shape."""
        x_BPF = functional.relu(self.up_proj(x_BPD))
        return self.down_proj(x_BPF * x_BPF)


class Squared(Transformer):
    """A Transformer with squared-ReLU MLPs; all else, such as `features` and `initialize`, is the Transformer's."""

    def __init__(self, config: SquaredConfig) -> None:
        super().__init__(config)
        for layer in self.layers:
            layer.mlp = SquaredReLU(config.d_model, config.d_ff)
