"""One connection to a NATS server, and how a relay publishes there: all of it runs in asyncio.

A tick is a message of its symbol's subject, as JSON. Its `Nats-Msg-Id` is `SYMBOL-MILLISECONDS-N`.
Only within a stream's duplicate window, two minutes, does the server know an id again. So that is
not what keeps a relay right. Every message says what it must come after, and the server refuses it
otherwise:

1. The first message of a subject in each round names the sequence of the subject's last message.
2. Each that follows names the id of the one before it, which must be the last of the stream. So a
   round need not wait for one acknowledgement after another, and one that is refused takes those
   behind it along.
3. After a refusal the subject's last message is read: up to there another relay was first. What is
   higher is published again. After a restart it is the same; see `relaying` for what follows.

The stream is made if no stream has the subject. It keeps so many messages of each subject.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Sequence
from typing import Any, Final

import attrs

from derivtrio.recording.extras import needing
from derivtrio.recording.relaying import RelayAddress, RelayEntry, checked_subject
from derivtrio.recording.store import StoreError

with needing("nats", "NATS"):
    import nats.errors
    from nats.aio.client import Client
    from nats.js import errors as js
    from nats.js.api import StreamConfig

#: How long connecting may take, in seconds.
_TIMEOUT: Final = 10.0

#: How many messages are published before their acknowledgements are waited for.
_AT_ONCE: Final = 500

#: What JetStream says of a message that does not come after the one that it names.
_REFUSED: Final = frozenset({10070, 10071})


@attrs.frozen
class Tip:
    """The last message of a subject: its sequence in the stream (0: there is none), and its id."""

    sequence: int
    id: tuple[int, int] = (-1, 0)


@attrs.define(eq=False)
class JetStream:
    """One connection to a server with JetStream. Its methods run in asyncio.

    Attributes:
        trouble: what went wrong last, as far as it was no answer to anything.

    """

    _address: RelayAddress
    _maxlen: int
    trouble: str | None = attrs.field(default=None, init=False)
    _client: Any = attrs.field(default=None, init=False)
    _jetstream: Any = attrs.field(default=None, init=False)
    _inbox: str = attrs.field(default="", init=False)
    _stream: str = attrs.field(default="", init=False)
    _tips: dict[str, Tip] = attrs.field(factory=dict, init=False)
    _sent: int = attrs.field(default=0, init=False)
    #: The acknowledgements that are waited for, by the last token of their subjects.
    _replies: "dict[str, asyncio.Future[Any]]" = attrs.field(factory=dict, init=False)

    async def open(self) -> None:
        """Connect, and have a stream made if none has the subject."""
        address = self._address
        host = f"[{address.host}]" if ":" in address.host else address.host
        named = {"user": address.username, "password": address.password}
        self._client = Client()
        await self._client.connect(
            f"nats://{host}:{address.port}",
            # In an address of NATS a name without a password is a token.
            **({"token": address.username} if address.password is None else named),
            tls=ssl.create_default_context() if address.tls else None,
            name="derivtrio relay",
            error_cb=self._note,
            closed_cb=self._end,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # with 0 or less it tries for ever
            reconnect_time_wait=0,
            connect_timeout=_TIMEOUT,
        )
        self._jetstream, self._inbox = self._client.jetstream(), self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._take)
        await self._find_stream()

    async def ready(self) -> None:
        """Do nothing: `open` has done all."""

    async def close(self) -> None:
        """Close the connection, if it was begun."""
        if self._client is not None:
            await self._client.close()

    async def tip(self, symbol: str) -> Tip:
        """Return the last message of the subject of *symbol*, as it is in the stream now."""
        subject = self._subject(symbol)
        try:
            message = await self._jetstream.get_last_msg(self._stream, subject)
        except js.NotFoundError:
            tip = Tip(0)
        else:
            tip = Tip(message.seq, _id_in(message.headers or {}, subject))
        self._tips[symbol] = tip
        return tip

    async def publish(self, entries: Sequence[RelayEntry]) -> list[RelayEntry]:
        """Publish as many of *entries* as go in one round; return what is left of them."""
        for symbol in {entry.symbol for entry in entries} - set(self._tips):
            await self.tip(symbol)
        fresh = [entry for entry in entries if entry.id > self._tips[entry.symbol].id]
        now = fresh[:_AT_ONCE]
        pairs = zip((None, *now), now, strict=False)
        replies = [await self._send(entry, previous) for previous, entry in pairs]
        answers = await asyncio.gather(*replies)
        both = zip(now, answers, strict=True)
        refused = [entry for entry, answer in both if self._is_refused(entry, answer)]
        for entry in refused:
            self._tips.pop(entry.symbol, None)
        return [*refused, *fresh[_AT_ONCE:]]

    def _is_refused(self, entry: RelayEntry, answer: Any) -> bool:
        """Return whether *answer* refuses *entry*; note it as the newest if it does not."""
        if (answer.headers or {}).get("Status") == "503":
            raise js.NoStreamResponseError
        told = json.loads(answer.data)
        error = told.get("error")
        if error is None:
            self._tips[entry.symbol] = Tip(told["seq"], entry.id)
        elif error.get("err_code") not in _REFUSED:
            js.APIError.from_error(error)
        return error is not None

    async def _send(self, entry: RelayEntry, previous: RelayEntry | None) -> "asyncio.Future[Any]":
        """Publish *entry*, which comes after *previous* in this round; return its reply to be."""
        headers = {"Nats-Msg-Id": _name_of(entry)}
        if previous is not None and previous.symbol == entry.symbol:
            headers["Nats-Expected-Last-Msg-Id"] = _name_of(previous)
        else:
            last = self._tips[entry.symbol].sequence
            headers["Nats-Expected-Last-Subject-Sequence"] = str(last)
        self._sent += 1
        token, body = str(self._sent), json.dumps(entry.members).encode()
        self._replies[token] = reply = asyncio.get_running_loop().create_future()
        await self._client.publish(
            self._subject(entry.symbol), body, reply=f"{self._inbox}.{token}", headers=headers
        )
        return reply

    async def _take(self, message: Any) -> None:
        """Give an acknowledgement to the round that waits for it."""
        reply = self._replies.pop(message.subject.rpartition(".")[2], None)
        if reply is not None and not reply.done():
            reply.set_result(message)

    async def _find_stream(self) -> None:
        jetstream, pattern = self._jetstream, self._address.key("*")
        try:
            self._stream = await jetstream.find_stream_name_by_subject(pattern)
        except js.NotFoundError:
            self._stream = re.sub(r"[.\\/*]", "_", self._address.key("SYMBOL"))
            await jetstream.add_stream(
                StreamConfig(
                    name=self._stream,
                    description="Ticks from derivtrio relay",
                    subjects=[pattern],
                    max_msgs_per_subject=self._maxlen,
                )
            )

    async def _note(self, error: Exception) -> None:
        self.trouble = str(error)

    async def _end(self) -> None:
        """Have nobody wait for acknowledgements that will not come."""
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(nats.errors.ConnectionClosedError())
                reply.exception()  # so that asyncio does not log it if nobody waits for it any more

    def _subject(self, symbol: str) -> str:
        return checked_subject(self._address.key(symbol))


def _name_of(entry: RelayEntry) -> str:
    return "{}-{}-{}".format(entry.symbol, *entry.id)


def _id_in(headers: dict[str, Any], subject: str) -> tuple[int, int]:
    """Return the id of a message with these *headers*, as `_name_of` has written it.

    Another program's may be anything: nats-py has no text for one that is not ASCII.
    """
    name = str(headers.get("Nats-Msg-Id", ""))
    found = re.fullmatch(r".+-(\d{1,19})-(\d{1,19})", name, re.ASCII)
    if found is None:
        text = f"the subject {subject} has other messages than those of a relay"
        raise StoreError(text)
    return int(found[1]), int(found[2])
