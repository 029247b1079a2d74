"""Wall-clock time of a study from the starts and durations of its runs."""

from bytegap.runs.collect import wall_clock


def test_parallel_and_successive_runs():
    assert wall_clock([(0.0, 10.0), (20.0, 5.0)]) == (15.0, 1)
    assert wall_clock([(0.0, 10.0), (0.0, 30.0), (10.0, 15.0)]) == (30.0, 2)
    assert wall_clock([(0.0, 10.0), (0.0, 12.0), (3.0, 30.0)]) == (33.0, 3)


def test_starts_rounded_to_seconds_do_not_count_as_overlap():
    """The first ends at 10.7; the second begins at 10.8, which is recorded as 10."""
    assert wall_clock([(0.0, 10.7), (10.0, 8.0), (18.0, 3.0)])[1] == 1
