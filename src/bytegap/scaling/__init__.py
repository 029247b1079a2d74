"""Scaling laws, IsoFLOP curves, frontiers and bootstrap intervals as functions of arrays.

laws.py         formulas of the frontier L(C) and of the Chinchilla law L(N, D)
bootstrap.py    an estimate and its bootstrap draws in one array; percentile intervals
curves.py       log loss as a polynomial of ln N: all IsoFLOP cells of an arm in one linear fit
window.py       which runs of a wide IsoFLOP cell its curve is fitted to
noise.py        how much equal runs differ: of a run, of a seed in a cell, of an evaluation
documents.py    how the loss moves when the held-out documents are others
isoflop.py      minima of the cells of several arms, with intervals
regression.py   weighted least squares, and the irreducible loss by profiling
frontier.py     L(C) through minima, and errors scaled for lack of fit
parametric.py   L(C) by the Chinchilla law of an arm's runs, for every draw
chinchilla.py   the Chinchilla law of a table of runs, with intervals
newton.py       the optimizer of both, many fits at a time
chi_square.py   the tail of the distribution, and Bartlett's test

Nothing here reads or writes a file or knows of a study's arms; numpy only.
"""
