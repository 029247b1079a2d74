"""The command line: `main` parses it, and each group of verbs has a file: `pipeline`, `models`, `tools`.

A verb imports what it needs when it runs, so that `bytegap --help` loads neither numpy nor torch.
"""
