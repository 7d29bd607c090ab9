"""How well colours can be told apart, as WCAG 2.1 measures it."""

import re


def _luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, as WCAG 2.1 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def mixed(front: str, back: str, opacity: float) -> str:
    """Return what *front* looks like over *back*."""
    parts = [(int(front[n : n + 2], 16), int(back[n : n + 2], 16)) for n in (1, 3, 5)]
    return "#" + "".join(f"{round(a * opacity + b * (1 - opacity)):02x}" for a, b in parts)


def themes(style: str) -> list[dict[str, str]]:
    """Return the colours of a style sheet by name, for each of its themes."""
    found = []
    for block in re.findall(r":root \{.*?\}", style, re.DOTALL):
        colours = dict(re.findall(r"--(\w+): (#\w+);", block))
        if colours:
            found.append({name: _long(colour) for name, colour in colours.items()})
    return found


def _long(colour: str) -> str:
    return colour if len(colour) == 7 else "#" + "".join(2 * part for part in colour[1:])
