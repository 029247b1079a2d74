"""The command line as it is, but for a checkpoint every few steps: something to lose at any instant."""

import signal
import sys

from bytegap.cli import main
from bytegap.train import run

run._CHECKPOINT_EVERY_S, run._CHECKPOINT_SHARE, run._LEAST_CHECKPOINT_S = 0.05, 0, 0.0

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would this
    sys.exit(main())
