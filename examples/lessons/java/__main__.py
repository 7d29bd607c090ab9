"""`python -m examples.lessons.java`: run the program of this lesson."""

import sys

from examples.lessons.command import run
from examples.lessons.java.program import talk

if __name__ == "__main__":
    sys.exit(run(talk))
