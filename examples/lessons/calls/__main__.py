"""`python -m examples.lessons.calls`: run the program of this lesson."""

import sys

from examples.lessons.calls.program import main
from examples.lessons.command import rehearse

if __name__ == "__main__":
    sys.exit(rehearse(main))
