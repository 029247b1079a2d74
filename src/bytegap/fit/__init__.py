"""Fits of a study, runs.jsonl to fit.json, and of any table of runs.

A study:

    stage.py             reads the rows, writes the fit
    cells.py             rows -> IsoFLOP cells and their minima
    frontiers.py         an arm's minima or runs -> L(C) = E + A C^-g, in up to four forms
    censoring.py         compute at a loss, observed or bounded by the budgets, and differences of bounds
    estimand_builder.py  labelled estimates and the losses that they are evaluated at
    overhead.py          a byte arm against another -> overhead, gap, slope, parity
    interaction.py       two such pairs -> whether bytes cost MDM, or permuted text, more
    estimands.py         which pairs are compared, and which estimates are headlined
    equal_size.py        a byte arm against another at equal optimal size
    reestimate.py        the headlines again, from other frontiers:
    conventions.py         under other conventions of counting FLOPs
    sensitivity.py         under other gates on cells and other edges of the scoring windows
    repeats.py             from each repeat of the study alone, and the spread between repeats
    likelihoods.py         under other likelihoods of masked models
    nested.py            whether arms need separate exponents
    slopes.py            whether two arms' exponents are equivalent
    not_below.py         whether one arm's exponent is not below another's
    gap_closed.py        how much of an overhead a variant closes
    goodness_of_fit.py   whether minima lie on their frontier
    claims.py            the conclusions as records
    missing.py           why arms cannot be compared, and what would make them comparable
    sentences.py         the conclusions in English

A table, `bytegap fit-table`:

    fit_table_command.py  reads a CSV, prints JSON or tables
    read_table.py         CSV or records -> rows; every mistake is named by row and column
    fit_table.py          rows -> law, minima, frontier
    diagnostics.py        warnings about the rows
    table_schema.py       what is printed

All but the stage and the verb are pure functions of rows and a seed; the arithmetic is in `bytegap.scaling`. No torch.
"""
