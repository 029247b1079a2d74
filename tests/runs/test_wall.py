"""Wall-clock of a study from when its runs began and how long they took."""

from bytegap.runs.stage import _wall


def test_runs_side_by_side_and_one_after_another():
    assert _wall([(0.0, 10.0), (20.0, 5.0)]) == (15.0, 1)
    assert _wall([(0.0, 10.0), (0.0, 30.0), (10.0, 15.0)]) == (30.0, 2)
    assert _wall([(0.0, 10.0), (0.0, 12.0), (3.0, 30.0)]) == (33.0, 3)


def test_starts_in_whole_seconds_do_not_make_neighbours_of_what_followed():
    """The first ends at 10.7, the second begins at 10.8 and is said to begin at 10."""
    assert _wall([(0.0, 10.7), (10.0, 8.0), (18.0, 3.0)])[1] == 1
