"""FLOPs counted on a real step."""

import pytest

from bytegap.train import flop_audit
from tests.helpers.parts import OBJECTIVES


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_step_flops_are_the_same_counted_a_row_at_a_time(tiny, objective, everywhere, monkeypatch):
    trainer, rows = tiny.trainer("byte-ar", objective), []
    features = trainer.network.features
    trainer.network.features = lambda inputs, *rest: rows.append(len(inputs)) or features(inputs, *rest)
    all_rows = flop_audit.step_flops(trainer, head_everywhere=everywhere)
    monkeypatch.setattr(flop_audit, "_MAP_ENTRIES", 1)
    assert flop_audit.step_flops(trainer, head_everywhere=everywhere) == all_rows
    assert rows == [trainer.spec.batch_size] + [1] * trainer.spec.batch_size
