"""The fit stage, `runs.jsonl` to `fit.json`: cells, frontiers, estimands and a verdict.

    stage.py        reads the rows, writes the fit
    parabola.py     one cell's arithmetic
    isoflop.py      runs of one arm and budget -> a parabola, its minimum, what is wrong with it
    frontiers.py    an arm's minima -> L(C) = E + A C^-g: no floor, a shared one, its own
    bounds.py       compute at a loss, observed or bounded from one side, and its algebra
    answers.py      labels, bounds, and the losses that questions are asked at
    overhead.py     a byte arm against another -> overhead, gap, slope, parity
    interaction.py  two such pairs -> whether bytes cost MDM more than AR
    estimands.py    which pairs there are, and which answers lead
    verdict.py      three sentences
    draws.py        point estimate and bootstrap draws in one array

Everything is a pure function of the rows and a seed; numpy and no torch.
"""
