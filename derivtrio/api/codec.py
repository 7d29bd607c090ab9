"""JSON as Deriv speaks it: one object per text frame.

msgspec does the work. Four things are ours: a `Decimal` is written as a JSON number, digit for
digit, because Deriv's prices are numbers; a NaN or an infinity is refused, because JSON does not
have these and msgspec would silently write `null` instead; and a value of a subclass, such as
numpy's `float64`, is written as what it is a kind of. And half of a surrogate pair, which is no
character though RFC 8259 (8.2) allows its escape, is read as U+FFFD.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec


def _as_base(value: Any) -> str | int | float:
    """Return *value* as what it is a kind of: numpy's float64, for example, is a float."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    text = f"Encoding objects of type {type(value).__name__} is unsupported"
    raise TypeError(text)


_decoder = msgspec.json.Decoder()
_object_decoder = msgspec.json.Decoder(dict)
_sorting_encoder = msgspec.json.Encoder(decimal_format="number", order="sorted", enc_hook=_as_base)
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_as_base)

#: What nobody can change; most members of requests are such.
_PLAIN: Final = frozenset({str, int, float, bool, type(None), Decimal})

#: How deep `error_text` searches for what cannot be encoded.
_DEEP: Final = 8

#: What `decode` raises for a text that is not JSON.
DecodeError = msgspec.DecodeError

#: All that `decode` raises; the others come from what is not UTF-8 and from very deep nesting.
UNDECODABLE = (DecodeError, UnicodeError, RecursionError)

decode = _decoder.decode

#: Does the same, but raises a `DecodeError` also for JSON that is not an object.
decode_object = _object_decoder.decode


#: An escape in JSON: a surrogate pair, half of one (which is the group), or any other.
_ESCAPES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][\da-fA-F]{2})|.)",
    re.DOTALL,
)


def decode_with_halves(data: bytes | str) -> Any:
    """Decode *data*; half of a surrogate pair becomes U+FFFD.

    Raises:
        DecodeError: *data* is not JSON.
        UnicodeError: it is not UTF-8.
        RecursionError: it is nested too deep.

    """
    try:
        return decode(data)
    except DecodeError:
        text = data.encode() if isinstance(data, str) else data
        repaired = _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], text)
        if repaired == text:
            raise
        return decode(repaired)


def encode(message: Mapping[str, Any]) -> str:
    """Return *message* as JSON text.

    Raises:
        TypeError: something in it is not of a JSON type.
        ValueError: something in it has no JSON form (NaN, infinity, a lone surrogate).

    """
    try:
        text = _encoder.encode(message).decode()
    except (msgspec.MsgspecError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error
    except UnicodeError as error:  # it has the whole text, which may be a secret
        raise ValueError(str(error)) from None
    if "null" in text or "NaN" in text or "Infinity" in text:
        import json  # noqa: PLC0415 - takes a while, and few need it

        try:
            json.dumps(message, allow_nan=False, default=_finite)
        except RecursionError as error:
            raise ValueError(str(error)) from error
    return text


def own_copy(value: Any) -> Any:
    """Return *value*, which has a JSON form, so that nobody else can change what is in it."""
    if value.__class__ in _PLAIN:
        return value
    if value.__class__ is dict or isinstance(value, Mapping):  # the usual case is quick
        return {
            name: each if each.__class__ in _PLAIN else own_copy(each)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [own_copy(each) for each in value]
    return value.copy() if isinstance(value, set) else value


def _finite(value: Any) -> str:
    if isinstance(value, Decimal) and not value.is_finite():
        text = f"{value} is not a number that JSON has"
        raise ValueError(text)
    return str(value)


def error_text(error: Exception, message: Any) -> str:
    """Return the words of *error*, which `encode` raised for *message*, and where that is in it."""
    path: list[str] = []
    while isinstance(message, Mapping | list | tuple) and len(path) < _DEEP:
        for name, value in message.items() if isinstance(message, Mapping) else enumerate(message):
            try:
                encode(value)
            except (TypeError, ValueError):
                path.append(str(name))
                message = value
                break
        else:
            break
    return ": ".join(filter(None, [".".join(path), str(error)]))


def copy_of(message: Any) -> Any:
    """Return a copy of *message*, which was decoded; itself, if it is nested too deep for that."""
    try:
        return own_copy(message)
    except RecursionError:
        return message


def encode_again(message: Mapping[str, Any]) -> bytes:
    """Return *message*, which was decoded, as JSON."""
    return _encoder.encode(message)


def sorted_text(message: Mapping[str, Any]) -> str:
    """Return *message* as JSON text in which members stand in alphabetical order."""
    return _sorting_encoder.encode(message).decode()


def with_req_id(body: str, req_id: int) -> str:
    """Return the JSON object *body* with the member `req_id`, which it must not have yet."""
    return f'{body[:-1]},"req_id":{req_id}}}'
