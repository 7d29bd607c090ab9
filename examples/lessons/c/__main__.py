"""`python -m examples.lessons.c`: run the program of this lesson."""

import sys

from examples.lessons.c.program import talk
from examples.lessons.command import run

if __name__ == "__main__":
    sys.exit(run(talk))
