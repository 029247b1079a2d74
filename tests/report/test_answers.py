"""Which form of the frontier a figure shows in full."""

from types import SimpleNamespace

from bytegap.report.answers import _leads


def test_each_group_of_arms_leads_with_the_first_form_that_it_has():
    text, order = ["byte-ar", "bpe-ar"], ["byte-ar-window4", "bpe-ar-window4"]
    given = [(text, "no floor"), (order, "no floor"), (text, "shared floor"), (["a", "b"], "minima")]
    items = [SimpleNamespace(arms=arms, form=form) for arms, form in given]
    leads = _leads(SimpleNamespace(forms=["shared floor", "no floor"]), items)
    assert leads == {tuple(text): "shared floor", tuple(order): "no floor", ("a", "b"): "minima"}
