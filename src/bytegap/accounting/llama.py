"""Parameters and matmuls of a Llama-style decoder: grouped-query attention, gated MLP, RMSNorm (arXiv 2302.13971).

bytegap's own Transformer is one of these, and so are Llama, Mistral and Qwen2 and 3 with their biases and norms.
"""

from dataclasses import dataclass

from bytegap.accounting.flops import Costs, Matmul
from bytegap.accounting.params import Parameters


@dataclass(frozen=True)
class Llama:
    """The numbers that fix both counts; what is None follows from the others, as noted."""

    width: int
    depth: int
    heads: int
    hidden: int
    """Width of the MLP."""
    vocabulary: int
    """Rows of the embedding and of the head."""
    key_value_heads: int | None = None
    """As many as query heads unless they are shared (grouped-query attention, arXiv 2305.13245)."""
    head_width: int | None = None
    """width / heads."""
    tied: bool = False
    """The head is the embedding: its parameters counted once, its products all the same."""
    query_key_value_biases: bool = False
    output_bias: bool = False
    mlp_biases: bool = False
    query_key_norms: bool = False
    """A gain a head's width for queries and one for keys, per layer."""

    @property
    def query_width(self) -> int:
        """All query heads side by side."""
        return self.heads * (self.head_width or self.width // self.heads)

    @property
    def key_value_width(self) -> int:
        """All key heads side by side; values alike."""
        return (self.key_value_heads or self.heads) * (self.query_width // self.heads)


def parameters(model: Llama) -> Parameters:
    """Counted by group; gains and biases are with the body."""
    projections = 2 * model.width * (model.query_width + model.key_value_width)
    projections += model.query_key_value_biases * (model.query_width + 2 * model.key_value_width)
    projections += model.output_bias * model.width
    mlp = 3 * model.width * model.hidden + model.mlp_biases * (2 * model.hidden + model.width)
    gains = 2 * model.width + model.query_key_norms * 2 * (model.query_width // model.heads)
    table = model.vocabulary * model.width
    return Parameters(
        embedding=table,
        head=0 if model.tied else table,
        non_embedding=model.depth * (projections + mlp + gains) + model.width,
    )


def costs(model: Llama) -> Costs:
    """The matmuls of one forward."""
    return Costs(
        body=(
            Matmul("attention projections", model.width, model.query_width, 2 * model.depth),
            Matmul("attention projections", model.width, model.key_value_width, 2 * model.depth),
            Matmul("mlp", model.width, model.hidden, 3 * model.depth),
        ),
        head=Matmul("head", model.width, model.vocabulary),
        attention_layers=model.depth,
        attention_width=model.query_width,
    )
