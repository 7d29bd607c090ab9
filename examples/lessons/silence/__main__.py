"""`python -m examples.lessons.silence`: run the program of this lesson."""

import sys

from examples.lessons.command import rehearse
from examples.lessons.silence.program import main

if __name__ == "__main__":
    sys.exit(rehearse(main))
