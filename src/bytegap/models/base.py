"""The interface of a model family: its sizes, what a size costs, and the network of a size.

B sequences, P positions, M selected positions, D d_model, V ids of the vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from bytegap.cost.flops import Costs
from bytegap.cost.params import Parameters
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.study.registry import Part, build


class Network(nn.Module, ABC):
    """A network that training and scoring can run.

    Attention must go through `nn.layers.Attention`, whose backend the plan sets.
    """

    lm_head: nn.Linear
    layers: nn.ModuleList
    """In order; probes read between them, and sharding takes each as a unit."""

    @abstractmethod
    def features(self, ids_BP: Tensor, positions_M: Tensor | None, attention: AttentionSpec) -> Tensor:
        """The head's inputs (M, D) at flat positions b * P + p, or (B * P, D) at all positions."""

    @property
    def kv_numbers_per_position(self) -> int:
        """Numbers that a KV cache holds for each position of a sequence: keys and values of every layer."""
        return 2 * len(self.layers) * self.lm_head.in_features

    @abstractmethod
    def initialize(self, seed: int) -> None:
        """Fill all weights; they depend on `seed` alone."""

    def forward(self, ids_BP: Tensor, positions_M: Tensor | None, attention: AttentionSpec) -> Tensor:
        """Logits (M, V) at flat positions b * P + p, or (B * P, V) at all positions."""
        logits: Tensor = self.lm_head(self.features(ids_BP, positions_M, attention))
        return logits


class ModelConfig(BaseModel, ABC):
    """Everything that fixes the architecture of one network; a plan stores it as a JSON object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_ids: int
    """V, ids: the tokens, EOS, BOS, MASK."""
    d_model: int
    n_layers: int

    @abstractmethod
    def build(self) -> Network:
        """The network, on the CPU, its weights not yet initialized."""

    @abstractmethod
    def parameters(self) -> Parameters:
        """Parameters by group; the gains of norms belong to the body."""

    @abstractmethod
    def costs(self) -> Costs:
        """The matmuls of one forward."""


class ModelFamily(Part, ABC):
    """An architecture with a series of sizes; options of the study file are fields."""

    kind: ClassVar[str] = "model"

    @property
    def mixes_neighbours(self) -> bool:
        """Whether positions see neighbours in the row by other ways than attention."""
        return False

    @abstractmethod
    def sizes(self, *, n_ids: int, max_positions: int) -> Iterator[ModelConfig]:
        """Configs in ascending size, without end; `max_positions` counts BOS."""

    @abstractmethod
    def config(self, fields: Mapping[str, object]) -> ModelConfig:
        """The config that a plan stored."""


def model_family(name: str, options: Mapping[str, object] | None = None) -> ModelFamily:
    """The family called `name`; StudyError where there is none or an option is wrong."""
    return build(ModelFamily, name, options or {})
