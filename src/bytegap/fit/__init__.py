"""The fit stage, `runs.jsonl` to `fit.json`: cells, frontiers, estimands and a verdict.

    stage.py        reads the rows, writes the fit
    parabola.py     one cell's arithmetic
    minima.py       anybody's runs of about equal compute -> a parabola, its minimum, what is wrong with it
    isoflop.py      a study's rows -> its cells
    frontiers.py    an arm's minima -> L(C) = E + A C^-g: no floor, a shared one, its own
    bounds.py       compute at a loss, observed or bounded from one side, and its algebra
    answers.py      labels, bounds, and the losses that questions are asked at
    overhead.py     a byte arm against another -> overhead, gap, slope, parity
    interaction.py  two such pairs -> whether bytes cost MDM, or a changed order, more
    estimands.py    which pairs there are, and which answers lead
    nested.py       whether arms need separate exponents
    verdict.py      three sentences, and what changed orders add
    draws.py        point estimate and bootstrap draws in one array

And anybody's table, `bytegap fit --table`:

    table_stage.py    reads a CSV, prints JSON or tables
    table.py          the CSV, every mistake named by row and column
    of_table.py       rows -> law, minima, frontier
    oddities.py       what to be warned of
    chinchilla.py     L(N, D) = E + A / N^alpha + B / D^beta, with intervals
    newton.py         many such fits at once
    table_records.py  what is printed

Everything is a pure function of the rows and a seed; numpy and no torch.
"""
