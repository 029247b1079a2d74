"""Likelihoods of rows of four tokens under patches and streams, by enumeration and by rows without the hidden text."""

import math
from functools import cache
from itertools import chain, combinations, pairwise, permutations, product

import torch

from bytegap.data.vocabulary import Vocabulary
from bytegap.nn.attention_spec import BIDIRECTIONAL, AttentionSpec
from bytegap.objectives.any_order import in_order
from bytegap.objectives.base import with_bos
from bytegap.objectives.patch import Patch
from tests.helpers.language_models import TokensOnly
from tests.helpers.parts import build_model, logits_of, shake

S = 4
VOCABULARY = Vocabulary(1)  # one token and EOS: 16 rows of four
TEXTS = torch.tensor(list(product(range(2), repeat=S)))
ROW = torch.tensor([[0, 1, 1, 0]])


def untrained(seq_len=S):
    """A small network whose weights are random."""
    return TokensOnly(shake(build_model("transformer", vocab_size=1, seq_len=seq_len, size=0)), VOCABULARY.bos)


def nats(model, objective, batch):
    """Of each row."""
    return objective.loss(logits_of(model, batch), batch).weighted_nats_B.double()


def cuts_of(size):
    """The patches of every drawn boundary, as lists of indices."""
    firsts = range(size) if size < S else range(1)
    for first in firsts:
        starts = [0, *range(first or size, S, size), S]
        yield [list(range(a, b)) for a, b in pairwise(starts)]


@torch.no_grad()
def hidden_patch_nats(model, text, patches, hidden, own):
    """Nats of the tokens of a hidden patch, by a row without what they may not see."""
    open_tokens = [(VOCABULARY.bos, 0)]
    for number, patch in enumerate(patches):
        open_tokens += [(VOCABULARY.mask, patch[0] + 1)] if number in hidden else [(text[i], i + 1) for i in patch]
    later = patches[own][1:]
    ids = [token for token, _ in open_tokens] + [text[i - 1] for i in later]
    keys = [position for _, position in open_tokens] + list(later)
    queries = [position for _, position in open_tokens] + [i + 1 for i in later]
    n = len(open_tokens)
    mask = torch.zeros(len(ids), len(ids), dtype=torch.bool)
    mask[:, :n] = True
    for q in range(n, len(ids)):
        mask[q, n : q + 1] = True
    spec = AttentionSpec(
        causal=False,
        mask=mask,
        position_ids=torch.tensor(keys),
        query_position_ids=torch.tensor(queries),
        shifted=(torch.arange(len(ids)) >= n)[None],
    )
    logp = model(torch.tensor([ids]), None, spec).double().log_softmax(-1)
    first = keys.index(patches[own][0] + 1)
    total = -float(logp[first, text[patches[own][0]]])
    return total - sum(float(logp[n + k, text[i]]) for k, i in enumerate(later))


def bound_by_mask(model, text, size):
    """sum over j of the mean nats of a hidden patch when j are hidden, and its mean over boundaries."""
    bounds = []
    for patches in cuts_of(size):
        total = 0.0
        for j in range(1, len(patches) + 1):
            found = [
                hidden_patch_nats(model, text, patches, hidden, own)
                for hidden in combinations(range(len(patches)), j)
                for own in hidden
            ]
            total += sum(found) / len(found)
        bounds.append(total)
    return sum(bounds) / len(bounds)


@torch.no_grad()
def nats_by_order(model, texts, size):
    """(orders, texts): nats under every order of every boundary, each boundary as often as any other."""
    found = []
    for patches in cuts_of(size):
        orders = [list(chain(*order)) for order in permutations(patches)]
        own = [
            nats(model, Patch(), in_order(texts, torch.tensor(order).expand(len(texts), S), VOCABULARY))
            for order in orders
        ]
        found += [torch.stack(own)] * (math.factorial(S) // len(orders))
    return torch.cat(found)


@torch.no_grad()
def nats_by_interleaving(model, text, size):
    """Nats of the row under every interleaving, each step given all before it."""

    @cache
    def step(shown, index):
        inputs = torch.tensor([[text[i] if i in shown else VOCABULARY.mask for i in range(S)]])
        logits = model(with_bos(inputs, VOCABULARY.bos), torch.tensor([index + 1]), BIDIRECTIONAL)
        return -float(logits.double().log_softmax(-1)[0, text[index]])

    totals = []
    for labels in permutations([i // size for i in range(S)]):
        shown, total = frozenset(), 0.0
        for label in labels:
            index = next(i for i in range(label * size, S) if i not in shown)
            total += step(shown, index)
            shown |= {index}
        totals.append(total)
    return totals


def nats_by_order_of_hidden_patches(model, text, size):
    """Nats of the row under every order of every boundary, each boundary as often, patches seen from both sides."""
    found = []
    for patches in cuts_of(size):
        orders = list(permutations(range(len(patches))))
        own = [
            sum(hidden_patch_nats(model, text, patches, order[n:], order[n]) for n in range(len(order)))
            for order in orders
        ]
        found += own * (math.factorial(S) // len(orders))
    return found
