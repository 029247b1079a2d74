"""Parameters and matmuls of a Llama-style decoder: grouped-query attention, gated MLP, RMSNorm (arXiv 2302.13971).

bytegap's own Transformer is one of these, and so are Llama, Mistral and Qwen2 and 3 with their biases and norms.
"""

from dataclasses import dataclass

from bytegap.cost.flops import Costs, Matmul
from bytegap.cost.params import Parameters


@dataclass(frozen=True)
class Llama:
    """The sizes that both counts depend on; a field that is None follows from the others, as noted."""

    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    """Width of the gated MLP."""
    vocab_size: int
    """Rows of the embedding and of the head."""
    key_value_heads: int | None = None
    """None: n_heads; fewer under grouped-query attention (arXiv 2305.13245)."""
    head_width: int | None = None
    """None: d_model / n_heads."""
    tied: bool = False
    """The head is the embedding: its parameters are counted once, its products still count."""
    query_key_value_biases: bool = False
    output_bias: bool = False
    mlp_biases: bool = False
    query_key_norms: bool = False
    """A norm with a gain as wide as a head for queries and one for keys, per layer."""

    @property
    def query_width(self) -> int:
        """Width of all query heads together."""
        return self.n_heads * (self.head_width or self.d_model // self.n_heads)

    @property
    def key_value_width(self) -> int:
        """Width of all key heads together; values have the same."""
        return (self.key_value_heads or self.n_heads) * (self.query_width // self.n_heads)


def parameters(model: Llama) -> Parameters:
    """Parameters by group; gains and biases belong to the body."""
    projections = 2 * model.d_model * (model.query_width + model.key_value_width)
    projections += model.query_key_value_biases * (model.query_width + 2 * model.key_value_width)
    projections += model.output_bias * model.d_model
    mlp = 3 * model.d_model * model.d_ff + model.mlp_biases * (2 * model.d_ff + model.d_model)
    gains = 2 * model.d_model + model.query_key_norms * 2 * (model.query_width // model.n_heads)
    table = model.vocab_size * model.d_model
    return Parameters(
        embedding=table,
        head=0 if model.tied else table,
        non_embedding=model.n_layers * (projections + mlp + gains) + model.d_model,
    )


def costs(model: Llama) -> Costs:
    """The matmuls of one forward."""
    return Costs(
        body=(
            Matmul("attention projections", model.d_model, model.query_width, 2 * model.n_layers),
            Matmul("attention projections", model.d_model, model.key_value_width, 2 * model.n_layers),
            Matmul("mlp", model.d_model, model.d_ff, 3 * model.n_layers),
        ),
        head=Matmul("head", model.d_model, model.vocab_size),
        attention_layers=model.n_layers,
        attention_width=model.query_width,
    )
