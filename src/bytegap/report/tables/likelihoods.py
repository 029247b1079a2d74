"""Tables of fit.json on other likelihoods of masked models: order gain and slack, and their shares of interactions."""

from bytegap.report import format as fmt
from bytegap.report.inputs import Inputs
from bytegap.report.tables.base import About, Column, Interval, Table
from bytegap.schema.fit import ExplainedShare, LikelihoodGain

_GAINS = About(
    name="likelihood_gains",
    title="Order gain and slack",
    caption=(
        "NELBO less another likelihood of the same network on the same test windows, in BPB with 95 % CI, for the best "
        "size of each masked arm at each budget. Order gain: against the exact likelihood of a deterministic unmasking "
        "rule. Slack: against the log-mean-exp bound of K random orders (orders:K), which is at most the NELBO in "
        "expectation. Positive: the NELBO is the higher loss. Chosen: the rule that is best on the arm's validation "
        "windows, and the bound of most orders. Intervals are from documents, resampled in pairs; where there are 0 "
        "documents, from the standard errors of the two estimates."
    ),
    source="../fit.json",
)
_SHARES = About(
    name="explained_shares",
    title="Interaction under other likelihoods",
    caption=(
        "How much of each headlined interaction I is order gain, and how much is slack of the bound: the share is "
        "1 \N{MINUS SIGN} I_other / I_NELBO at the same loss, where I_other has the chosen likelihood of each masked "
        "arm in place of its NELBO. 0 %: the interaction is the same; 100 %: none is left; negative: it is larger. The "
        "two shares are of different likelihoods and do not add up. Extrapolated: an arm was not observed at this "
        "loss. Intervals are 95 % CI."
    ),
    source="../fit.json",
)
_SHARE_COLUMNS: tuple[Column[ExplainedShare] | Interval[ExplainedShare], ...] = (
    Column("gain", "gain", lambda share: share.gain),
    Column("arms", "arms", lambda share: " / ".join(share.arms)),
    Interval("share", "share", lambda share: share.share, fmt.percent),
    Interval("interaction", "I, NELBO", lambda share: share.interaction, fmt.signed),
    Interval("other_interaction", "I, other", lambda share: share.other_interaction, fmt.signed),
    Column("label", "status", lambda share: share.label),
    Column("at_bpb", "at BPB", lambda share: share.at_bpb, fmt.bpb),
    Column("form", "form of frontier", lambda share: share.form),
    Column(
        "likelihoods",
        "likelihoods",
        lambda share: ", ".join(f"{arm}: {likelihood}" for arm, likelihood in share.likelihoods.items()),
    ),
)


def gains(inputs: Inputs) -> Table | None:
    """One row per run and likelihood; None where no run has other likelihoods."""
    found = inputs.fit.likelihoods
    return Table.of(_GAINS, found.gains, _gain_columns(inputs)) if found else None


def shares(inputs: Inputs) -> Table | None:
    """One row per headlined interaction and kind of gain; None where there is none."""
    found = inputs.fit.likelihoods
    return Table.of(_SHARES, found.shares, _SHARE_COLUMNS) if found and found.shares else None


def _gain_columns(inputs: Inputs) -> tuple[Column[LikelihoodGain] | Interval[LikelihoodGain], ...]:
    def parameters(gain: LikelihoodGain) -> int | None:
        row = inputs.run_row(gain.run)
        return row.non_embedding_parameters if row else None

    return (
        Column("arm", "arm", lambda gain: gain.arm),
        Column("budget_flops", "budget, FLOPs", lambda gain: gain.budget_flops, fmt.flops),
        Column("non_embedding_parameters", "N", parameters, fmt.count),
        Column("gain", "gain", lambda gain: gain.gain),
        Column("likelihood", "other likelihood", lambda gain: gain.likelihood),
        Column("chosen", "chosen", lambda gain: gain.chosen),
        Interval("gain_bpb", "gain, BPB", lambda gain: gain.gain_bpb, fmt.signed),
        Column("documents", "documents", lambda gain: gain.documents, fmt.integer),
        Column("windows", "windows", lambda gain: gain.windows, fmt.integer),
        Column("run", "run", lambda gain: gain.run, href=lambda gain: inputs.run_link(gain.run)),
    )
