"""The command line with a checkpoint every few steps, so that a kill at any instant loses something."""

import signal
import sys

from bytegap.cli.main import main
from bytegap.train import run

run._CHECKPOINT_EVERY_S, run._CHECKPOINT_SHARE, run._MIN_CHECKPOINT_S = 0.05, 0, 0.0

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    sys.exit(main())
