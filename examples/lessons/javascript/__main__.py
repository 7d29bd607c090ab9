"""`python -m examples.lessons.javascript`: run the program of this lesson."""

import sys

from examples.lessons.command import run
from examples.lessons.javascript.program import talk

if __name__ == "__main__":
    sys.exit(run(talk))
