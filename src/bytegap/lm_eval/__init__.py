"""The verb `lm-eval`: runs and other models on tasks of lm-evaluation-harness, which the extra `eval` installs."""
