"""Report: one page that opens offline, with every figure as PDF and PNG and every table as CSV. Computes nothing."""
