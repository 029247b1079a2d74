"""A study whose text and tokens are ready to plan on."""

import pytest

from bytegap.corpus import stage as corpus
from bytegap.tokens import stage as tokens
from tests.tiny import opened


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    home = tmp_path_factory.mktemp("plan")
    study, folder = opened(home)
    corpus.run(study, folder)
    tokens.run(study, folder)
    return home, study, folder
