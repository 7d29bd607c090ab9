"""Python literals, laid out as the formatter does it: on one line, or one item a line."""

from typing import Any, Final

WIDTH: Final = 100
_STEP: Final = "    "


def literal(value: Any, indent: str, used: int) -> str:
    """Return *value* as source text. It starts at column *used* of a line indented by *indent*.

    One column is kept free for the comma that follows.
    """
    line = _one_line(value)
    if used + len(line) + 1 <= WIDTH or not isinstance(value, (dict, tuple, list)):
        return line
    inner = indent + _STEP
    if isinstance(value, dict):
        members = []
        for key, item in value.items():
            head = f"{inner}{quoted(key)}: "
            members.append(f"{head}{literal(item, inner, len(head))},\n")
        return "{\n" + "".join(members) + indent + "}"
    items = "".join(f"{inner}{literal(item, inner, len(inner))},\n" for item in value)
    left, right = "()" if isinstance(value, tuple) else "[]"
    return f"{left}\n{items}{indent}{right}"


def quoted(text: str) -> str:
    """Return *text* as a string literal; as a raw one if it has backslashes."""
    quote = "'" if '"' in text else '"'
    if "\\" in text and quote not in text and not text.endswith("\\"):
        return f"r{quote}{text}{quote}"
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"' if quote in text else f"{quote}{text}{quote}"


def _one_line(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{quoted(k)}: {_one_line(v)}" for k, v in value.items())
        return f"{{{inside}}}"
    if isinstance(value, tuple):
        inside = ", ".join(map(_one_line, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, list):
        return f"[{', '.join(map(_one_line, value))}]"
    return quoted(value) if isinstance(value, str) else repr(value)
