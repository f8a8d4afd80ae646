"""Predictions against truth: the metrics of the paper, agreement statistics, tables."""
