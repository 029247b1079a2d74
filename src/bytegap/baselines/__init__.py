"""The verb `baselines`: general-purpose compressors on the test text of a study, or on files (extra `baselines`)."""
