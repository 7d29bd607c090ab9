"""`python -m examples.lessons.supervisor`: run the program of this lesson."""

import sys

from examples.lessons.command import run
from examples.lessons.supervisor.program import talk

if __name__ == "__main__":
    sys.exit(run(talk))
