"""The command line as it is, but for a checkpoint every few steps: something to lose at any instant."""

import sys

from bytegap.cli import main
from bytegap.train import run

run._CHECKPOINT_EVERY_S, run._CHECKPOINT_SHARE, run._LEAST_CHECKPOINT_S = 0.05, 0, 0.0

if __name__ == "__main__":
    sys.exit(main())
