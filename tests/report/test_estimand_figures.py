"""Which form of the frontier the figures of estimands show opaque."""

from types import SimpleNamespace

from bytegap.report.figures.estimand_points import preferred_forms


def test_each_group_of_arms_prefers_the_first_form_that_it_has():
    identity, permuted = ["byte-ar", "bpe-ar"], ["byte-ar-window4", "bpe-ar-window4"]
    given = [
        (identity, "power law"),
        (permuted, "power law"),
        (identity, "shared irreducible loss"),
        (["a", "b"], "minima"),
    ]
    items = [SimpleNamespace(arms=arms, form=form) for arms, form in given]
    preferred = preferred_forms(["shared irreducible loss", "power law"], items)
    assert preferred == {
        tuple(identity): "shared irreducible loss",
        tuple(permuted): "power law",
        ("a", "b"): "minima",
    }
