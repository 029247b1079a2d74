"""Batches divided over devices and into micro-batches."""

import pytest
import torch

from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import StudyError
from bytegap.objectives.base import objective
from bytegap.train.parallel import Devices
from tests.helpers.parts import OBJECTIVES, sequences


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize(("world", "micro_batch_size"), [(1, 0), (1, 2), (3, 0), (2, 2), (2, 1)])
def test_micro_batches_of_all_devices_make_up_the_batch(name, world, micro_batch_size):
    rng = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 256, (7, 24), generator=rng)
    t = torch.linspace(0.1, 1, 7, dtype=torch.float64)
    batch = objective(name).training_batch(sequences(tokens, t, rng, Vocabulary(256)))
    parts = [part for rank in range(world) for part in Devices(rank, world).micro_batches(batch, micro_batch_size)]
    parts = [part for part in parts if len(part.targets_M)]
    assert torch.equal(torch.cat([part.inputs_BP for part in parts]), batch.inputs_BP)
    assert torch.equal(torch.cat([part.targets_M for part in parts]), batch.targets_M)
    done = 0
    for part in parts:
        if micro_batch_size:
            assert len(part.inputs_BP) <= micro_batch_size
        inputs_M = part.inputs_BP.flatten()[part.positions_M]
        own_M = (batch.row_M >= done) & (batch.row_M < done + len(part.inputs_BP))
        assert torch.equal(inputs_M, batch.inputs_BP.flatten()[batch.positions_M[own_M]])
        assert torch.equal(part.row_M + done, batch.row_M[own_M])
        done += len(part.inputs_BP)
    assert done == 7


def test_more_devices_than_rows_are_an_error():
    Devices(0, 4).check(4)
    with pytest.raises(StudyError, match="a batch of 3 rows cannot be divided over 4 devices: start at most 3"):
        Devices(0, 4).check(3)
