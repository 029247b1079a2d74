"""The report: one HTML page that opens offline, every figure as PDF and PNG, every table as CSV.

`stage` writes it from the records that `inputs` reads. `figures` and `tables` turn records into charts and rows, `page`
holds the template, its style and its script, `render` draws images, and `style` and `format` say how colours and
numbers look.
"""
