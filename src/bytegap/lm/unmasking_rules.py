"""Other likelihoods of a masked model than its NELBO: by an unmasking rule, and by the bound of K random orders.

A network that predicts hidden tokens from revealed ones defines as many distributions as there are ways to choose
which token is revealed next.

A deterministic unmasking rule chooses the position from what is revealed and what the network predicts from it, one
token a step:

    ln p(x) = sum over s of ln p(x_i(s) | tokens revealed before step s),  i(s) chosen by the rule

A text determines its own positions, so p sums to 1 over texts, and is exact in S forwards (DUEL: arXiv 2603.01367), or
in one where a row is the text in the order that it is predicted in (`any_order`, patches by order).
Rules: `left` takes the first hidden token of the text, `confidence` the one whose likeliest token has the highest
probability, `margin` the one whose two likeliest tokens differ most in probability; ties go to the lowest index.

`orders:K` averages over orders instead: each of K random orders o has an exact ln p(x | o) in S forwards, and

    -ln (1 / K sum over k of p(x | o_k))

lies, in expectation, between the NELBO, which is that of K = 1, and -ln of the random-order mixture's p(x) (Burda et
al. 2016, arXiv 1509.00519, theorem 1; the order is the latent variable).

Probabilities are those of the NELBO: the softmax over all V ids.
BOS and MASK are no tokens of a text: no rule counts them as a likely token, and what probability they get is lost.

W windows, T tokens of all windows, K orders, B windows at a time, S tokens of a window, P positions, M candidates.
"""

import math
import re
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from bytegap.data.windows import Windows
from bytegap.errors import EvaluateError
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for, token_nats, window_batches
from bytegap.nn.finite import check_nats
from bytegap.objectives.base import Objective, UnmaskingInputs
from bytegap.sampling.base import never_drawn

NELBO, LEFT = "nelbo", "left"
_ORDERS = re.compile(r"orders:([1-9][0-9]{0,4})")
_ORDER_STREAM = 7_919
"""Part of the key of the random orders, so that they are not the times of a NELBO's passes."""


def _confidence(p_MV: Tensor) -> Tensor:
    return p_MV.amax(-1)


def _margin(p_MV: Tensor) -> Tensor:
    first_M, second_M = p_MV.topk(2).values.unbind(-1)
    return first_M - second_M


_BY_PREDICTION: dict[str, Callable[[Tensor], Tensor]] = {"confidence": _confidence, "margin": _margin}
"""(probabilities of tokens (M, V)) to (M,): the candidate with the largest value is next."""
RULES = (LEFT, *_BY_PREDICTION)


def rules_of(objective: Objective) -> tuple[str, ...]:
    """The unmasking rules that give its models a likelihood; none where there is nothing to choose.

    A model that predicts in order has one for the order of the text alone: what its predictions would choose depends on
    the order of what was revealed before.
    """
    if objective.can_unmask:
        return RULES
    return (LEFT,) if objective.predicts_in_order else ()


def num_orders(likelihood: str) -> int:
    """K of `orders:K`; 0 for every other likelihood."""
    found = _ORDERS.fullmatch(likelihood)
    return int(found[1]) if found else 0


def check_likelihood(likelihood: str, model: LanguageModel) -> None:
    """EvaluateError where there is no such likelihood, or the model has none but its own."""
    if likelihood == NELBO:
        return
    if likelihood not in RULES and num_orders(likelihood) < 2:
        raise EvaluateError(
            f"no likelihood is called '{likelihood}': name {NELBO}, {', '.join(RULES)}, or orders:K with a K of at "
            "least 2"
        )
    if model.objective.is_exact:
        raise EvaluateError(
            f"{model.name}: its likelihood is exact and leaves nothing to choose: leave out --likelihood {likelihood}"
        )
    own = rules_of(model.objective)
    if likelihood in own or (own and num_orders(likelihood)):
        return
    if own:
        raise EvaluateError(
            f"{model.name}: what it predicts depends on the order in which tokens were revealed, so no rule chooses "
            f"by its predictions: score it with --likelihood {NELBO}, {LEFT} or orders:K"
        )
    raise EvaluateError(
        f"{model.name}: its objective does not predict hidden tokens from any others, as '{likelihood}' needs: "
        f"score it with --likelihood {NELBO}"
    )


def likelihood_nats(model: LanguageModel, windows: Windows, likelihood: str) -> tuple[Tensor, Tensor]:
    """As `lm.likelihood.token_nats`, under any likelihood: nats of each token (T,), and sums of all of them.

    A rule has one sum, which is exact.
    `orders:K` has K, whose mean is the bound, and whose standard deviation over sqrt(K) is its standard error.
    EvaluateError where the model has no such likelihood.
    """
    check_likelihood(likelihood, model)
    if likelihood == NELBO:
        return token_nats(model, windows)
    if orders := num_orders(likelihood):
        return order_bound(order_nats(model, windows, orders), windows)
    nats_T = rule_token_nats(model, windows, likelihood)
    return nats_T, nats_T.sum()[None]


def rule_nats(model: LanguageModel, windows: Windows, rule: str) -> Tensor:
    """Exact nats of each window under a rule of `RULES`, (W,), float64."""
    return window_sums(rule_token_nats(model, windows, rule), windows)


def rule_token_nats(model: LanguageModel, windows: Windows, rule: str) -> Tensor:
    """Exact nats of each token under a rule of `RULES`, given what is revealed before it, (T,), float64."""
    if rule == LEFT:
        return _keyed_nats(model, windows, lambda B, S: torch.arange(S).expand(B, S))
    return _token_nats(model, windows, lambda _B, _S: partial(_by_prediction, _BY_PREDICTION[rule]))


def order_nats(model: LanguageModel, windows: Windows, orders: int) -> Tensor:
    """Exact nats of each token under K random orders, (K, T), float64; every window has orders of its own.

    The mean over orders of a window's sum is an unbiased estimate of its NELBO; under `patch`, whose NELBO is a mean
    over boundaries, of that with the first patch at the start.
    """
    nats_KT: list[Tensor] = []
    for number in range(orders):
        rng = rng_for(model.seed, number, _ORDER_STREAM)

        def random_keys(B: int, S: int, rng: torch.Generator = rng) -> Tensor:
            return model.objective.order_keys(B, S, rng)

        nats_KT.append(_keyed_nats(model, windows, random_keys))
    return torch.stack(nats_KT)


def order_bound(nats_KT: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    """The bound of K orders from the nats under each: nats of each token (T,), and K sums, (K,).

    A window's bound is divided among its tokens in proportion to their mean nats under the posterior of the order.
    """
    nats_KW = torch.stack([window_sums(nats_T, windows) for nats_T in nats_KT])
    posterior_KW = (-nats_KW).softmax(0)
    mean_W = (posterior_KW * nats_KW).sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    share_W = log_mean_exp_bound(nats_KW) / mean_W
    counts_W = torch.from_numpy(windows.counts.astype("int64"))
    weight_KT = (posterior_KW * share_W).repeat_interleave(counts_W, 1)
    return (weight_KT * nats_KT).sum(0), jackknife_sums(nats_KW)


def jackknife_sums(nats_KW: Tensor) -> Tensor:
    """K sums over windows, (K,), whose mean is the bound of K orders and whose spread is that of independent passes.

    They are the bound plus the deviations of the jackknife's pseudo-values from their mean (Efron and Tibshirani 1993,
    eq. 11.5), so that their standard deviation over sqrt(K) is the bound's standard error.
    """
    K = len(nats_KW)
    without_K = torch.stack([log_mean_exp_bound(nats_KW[torch.arange(K) != k]).sum() for k in range(K)])
    return log_mean_exp_bound(nats_KW).sum() - (K - 1) * (without_K - without_K.mean())


def log_mean_exp_bound(nats_KW: Tensor) -> Tensor:
    """-ln of the mean over K orders of each window's probability, (W,)."""
    return math.log(len(nats_KW)) - (-nats_KW).logsumexp(0)


def window_sums(nats_T: Tensor, windows: Windows) -> Tensor:
    """Nats of each window, (W,), from those of the tokens."""
    counts_W = torch.from_numpy(windows.counts.astype("int64"))
    window_T = torch.arange(len(counts_W)).repeat_interleave(counts_W)
    return torch.zeros(len(counts_W), dtype=nats_T.dtype).index_add(0, window_T, nats_T)


Choose = Callable[[LanguageModel, UnmaskingInputs], tuple[Tensor, Tensor]]
"""(model, inputs) to the index of the next token of each sequence (B,), and the logits that predict it (B, V)."""


def _by_key(key_BS: Tensor, model: LanguageModel, inputs: UnmaskingInputs) -> tuple[Tensor, Tensor]:
    """A `Choose`: the candidate with the smallest key is next."""
    index_B = key_BS.double().masked_fill(~inputs.candidates_BS, torch.inf).argmin(1)
    positions_B = inputs.positions_BS.gather(1, index_B[:, None])[:, 0]
    return index_B, model(inputs.inputs_BP, positions_B, inputs.attention)


def _by_prediction(
    value: Callable[[Tensor], Tensor], model: LanguageModel, inputs: UnmaskingInputs
) -> tuple[Tensor, Tensor]:
    """A `Choose`: the candidate whose prediction has the largest value is next."""
    candidates_BS = inputs.candidates_BS
    logits_MV = model(inputs.inputs_BP, inputs.positions_BS[candidates_BS], inputs.attention)
    p_MV = logits_MV.softmax(-1)
    p_MV[:, never_drawn(model.vocabulary)] = 0
    value_BS = torch.full(candidates_BS.shape, -1.0, dtype=p_MV.dtype)
    value_BS[candidates_BS] = value(p_MV)
    index_B = value_BS.argmax(1)
    number_BS = torch.zeros(candidates_BS.shape, dtype=torch.int64)
    number_BS[candidates_BS] = torch.arange(len(logits_MV))
    return index_B, logits_MV[number_BS.gather(1, index_B[:, None])[:, 0]]


def _keyed_nats(model: LanguageModel, windows: Windows, keys_for: Callable[[int, int], Tensor]) -> Tensor:
    """Nats of each token, (T,), revealed by rising key, `keys_for(B, S)` being those of so many sequences, (B, S)."""
    if model.objective.predicts_in_order:
        return _nats_by(model, windows, lambda tokens_BS: _in_order(model, tokens_BS, keys_for(*tokens_BS.shape)))
    return _token_nats(model, windows, lambda B, S: partial(_by_key, keys_for(B, S)))


def _in_order(model: LanguageModel, tokens_BS: Tensor, key_BS: Tensor) -> Tensor:
    """Nats of each token given those of smaller keys, (B, S), float64; in one forward."""
    batch = model.objective.ordered_batch(tokens_BS, key_BS, model.vocabulary)
    logits_MV = model(batch.inputs_BP, batch.positions_M, batch.attention).double()
    nats_BS = torch.empty(tokens_BS.shape, dtype=torch.float64)
    nats_M = functional.cross_entropy(logits_MV, batch.targets_M, reduction="none")
    nats_BS[batch.row_M, batch.token_index_M] = nats_M
    return nats_BS


def _token_nats(model: LanguageModel, windows: Windows, choose_for: Callable[[int, int], Choose]) -> Tensor:
    """Nats of each token, (T,), `choose_for(B, S)` being the `Choose` of so many sequences."""
    return _nats_by(model, windows, lambda tokens_BS: _chain(model, tokens_BS, choose_for(*tokens_BS.shape)))


@torch.no_grad()
def _nats_by(model: LanguageModel, windows: Windows, nats_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Nats of each token, (T,), `nats_of` giving those of some sequences, (B, S) to (B, S)."""
    nats_T = torch.zeros(len(windows.tokens), dtype=torch.float64)
    counts_W = torch.from_numpy(windows.counts.astype("int64"))
    starts_W = counts_W.cumsum(0) - counts_W
    for own, tokens_BS in window_batches(model, windows):
        own_BS = starts_W[torch.from_numpy(own)][:, None] + torch.arange(tokens_BS.shape[1])
        nats_T[own_BS] = check_nats(nats_of(tokens_BS), model.name)
    return nats_T


def _chain(model: LanguageModel, tokens_BS: Tensor, choose: Choose) -> Tensor:
    """Nats of each token given those revealed before it, (B, S), float64; one token a step.

    The text is looked at only to score a token that was chosen, and to reveal it then.
    """
    B, S = tokens_BS.shape
    row_B, nats_BS = torch.arange(B), torch.zeros(B, S, dtype=torch.float64)
    hidden_BS = torch.ones(B, S, dtype=torch.bool)
    for _ in range(S):
        seen_BS = tokens_BS.masked_fill(hidden_BS, model.vocabulary.mask)
        index_B, logits_BV = choose(model, model.objective.unmasking_inputs(seen_BS, hidden_BS, model.vocabulary))
        targets_B = tokens_BS[row_B, index_B]
        nats_BS[row_B, index_B] = functional.cross_entropy(logits_BV.double(), targets_B, reduction="none")
        hidden_BS[row_B, index_B] = False
    return nats_BS
