"""Charts in Vega-Lite, one module per figure. They rearrange what the records hold."""
