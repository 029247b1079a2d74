"""Language models for tests: any network with any objective, over bytes or small made-up vocabularies."""

from bytegap.data.tokenizers.bytes import ByteTokenizer
from bytegap.lm.language_model import LanguageModel


def language_model(network, objective, vocabulary, seq_len, **fields):
    """A model whose tokenizer is that of bytes, whatever its vocabulary."""
    return LanguageModel(
        name="test model",
        network=network,
        objective=objective,
        vocabulary=vocabulary,
        tokenizer=ByteTokenizer(),
        seq_len=seq_len,
        **fields,
    )
