"""Scaling laws, IsoFLOP parabolas and bootstrap intervals as functions of arrays.

laws.py         formulas of the frontier L(C) and of the Chinchilla law L(N, D)
bootstrap.py    an estimate and its bootstrap draws in one array; percentile intervals
parabola.py     the parabola through the runs of one IsoFLOP cell
isoflop.py      minima of several cells, with intervals
regression.py   weighted least squares, and the irreducible loss by profiling
chinchilla.py   the Chinchilla law of a table of runs, with intervals
newton.py       the optimizer of `chinchilla.py`, many fits at a time

Nothing here reads or writes a file or knows of a study's arms; numpy only.
"""
