"""How text is drawn from a model, one file a way; an objective says by its DRAWN which way is its own.

A way offers `draw(trained, canvas_S, settings, generator)`, which fills the places of `canvas_S` that hold MASK, in
place, and yields after each step the places that it filled. SampleError where what is given does not suit the way.
"""
