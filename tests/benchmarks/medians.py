"""Medians over the rounds of one run."""

from statistics import median

#: Figures by scenario, contestant and round.
Rounds = dict[str, dict[str, list[dict[str, float]]]]

#: The same without the rounds.
Medians = dict[str, dict[str, dict[str, float]]]


def medians(rounds: Rounds) -> Medians:
    """Return the median of each figure over the rounds."""
    return {
        scenario: {
            name: {key: median(score[key] for score in scores) for key in scores[0]}
            for name, scores in by_name.items()
        }
        for scenario, by_name in rounds.items()
    }


def ratio(ours: list[dict[str, float]], theirs: list[dict[str, float]], figure: str) -> float:
    """Return the median, over the rounds, of our figure as a multiple of theirs.

    What disturbs the machine for longer than a round does not change a round's ratio.
    """
    pairs = zip(ours, theirs, strict=False)  # a round that failed is missing
    return median(mine[figure] / other[figure] for mine, other in pairs)
