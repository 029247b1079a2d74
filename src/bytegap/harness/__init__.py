"""Models of ours, and others', before the tasks of lm-evaluation-harness; its package comes with the extra `eval`."""
