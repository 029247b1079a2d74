"""Worlds of known laws for tests of pilots and placements: four arms, sizes and costs as on two CPU cores."""

import numpy as np

from bytegap.plan.hours import CostTable, Prospect
from bytegap.plan.outlook import CellGrid
from bytegap.plan.rough_law import Points, RoughLaw, fit_rough_law, prior_of

ARMS = ("byte-ar", "bpe-ar", "byte-mdm", "bpe-mdm")
COMPARISONS = ((0, 1), (2, 3), (2, 3, 0, 1))
UNIGRAM_BPB = (4.9, 4.2, 4.9, 4.2)
WIDTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
PARAMS_J = np.array([2 * (4 * width**2 + 3 * width * -(-8 * width // 48) * 16) + 5 * width for width in WIDTHS], float)
PARAMETERS_6 = {
    # r at C_ref, ln g, ln N at C_ref, a, ln kappa, ln(E / unigram): of the size that laptop of 26 November had
    "byte-ar": (np.log(2.22), np.log(0.11), np.log(19e3), 0.54, np.log(0.026), np.log(0.9 / 4.9)),
    "bpe-ar": (np.log(2.10), np.log(0.10), np.log(21e3), 0.61, np.log(0.019), np.log(0.9 / 4.2)),
    "byte-mdm": (np.log(2.69), np.log(0.072), np.log(27e3), 0.55, np.log(0.020), np.log(0.9 / 4.9)),
    "bpe-mdm": (np.log(2.35), np.log(0.080), np.log(20e3), 0.70, np.log(0.026), np.log(0.9 / 4.2)),
}
FLOPS_B = np.array([float(f"{10 ** (power / 10):.1e}") for power in range(85, 160)])
NOISE = {"ar": 0.008, "mdm": 0.015}


def prior(arm):
    return prior_of(is_bytes=arm.startswith("byte"), is_exact=arm.endswith("ar"))


def world(rng=None):
    """The true law of each arm; with `rng`, one that differs from the others in level, exponent, size and curvature."""
    laws = []
    for arm, unigram_bpb in zip(ARMS, UNIGRAM_BPB, strict=True):
        theta_6 = np.array(PARAMETERS_6[arm])
        if rng is not None:
            theta_6 = theta_6 + rng.standard_normal(6) * (0.05, 0.12, 0.3, 0.05, 0.2, 0.15)
        laws.append(RoughLaw(prior(arm).flops, unigram_bpb, theta_6[None], NOISE[arm.partition("-")[2]]))
    return laws


def piloted(laws, rng):
    """The laws as fitted to a pilot: four sizes at two budgets, from where each arm has just learned context."""
    fitted = []
    for arm, law in zip(ARMS, laws, strict=True):
        start = np.exp(law.ln_flops(law.unigram_bpb - 0.6)[0])
        runs = []
        for flops in (start, 4 * start):
            best = int(np.abs(np.log(PARAMS_J) - law.ln_params(np.asarray(flops))[0]).argmin())
            first = max(0, best - 3)
            runs += [(flops, params) for params in PARAMS_J[first : first + 8 : 2]]
        bpb = [law.bpb_of(params, flops) * np.exp(law.noise * rng.standard_normal()) for flops, params in runs]
        points = Points(np.array([flops for flops, _ in runs]), np.array([params for _, params in runs]), np.array(bpb))
        fitted.append(fit_rough_law(points, law.unigram_bpb, prior(arm)))
    return fitted


def prospect(laws, workers=2):
    """What the laws allow, with 2 to 20 GFLOP/s by size, and 20 tokens a parameter the least that is trained."""
    flops_per_s_J = 2e9 + 18e9 * PARAMS_J / (PARAMS_J + 1e5)
    seconds_BJ = FLOPS_B[:, None] / flops_per_s_J + 3.0 + PARAMS_J / 5e4
    steps_BJ = FLOPS_B[:, None] / (6 * PARAMS_J) / 500
    seconds_BJ = np.where(steps_BJ >= 50, seconds_BJ, np.nan)
    tables = tuple(CostTable(FLOPS_B, np.log(PARAMS_J), seconds_BJ) for _ in laws)
    return Prospect(ARMS, tuple(laws), tables, COMPARISONS, CellGrid(5, 2), workers)


def is_bracketed(law, sizes, flops):
    """Whether the true best size lies between the smallest and the largest."""
    best = law.ln_params(np.asarray(flops))[0]
    return np.log(PARAMS_J[sizes[0]]) < best < np.log(PARAMS_J[sizes[-1]])
