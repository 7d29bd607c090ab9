"""Where commands connect: their options, and the client that these open."""

import functools
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs
import click

from derivtrio import Client, OptionsAccount, Settings, open_client
from derivtrio.cli.output import note
from derivtrio.connection.account import REST_URL
from derivtrio.connection.endpoints import Endpoint, as_endpoint, speaks_options
from derivtrio.connection.proxy import ENVIRONMENT, parse_proxy
from derivtrio.redaction import shown_url
from derivtrio.supervision.tokens import checked_token
from derivtrio.wording import one_line

#: How many times a command that runs once tries to connect.
ATTEMPTS: Final = 3


@attrs.frozen
class Target:
    """Which server a command connects to, and with which token.

    Attributes:
        chosen: whether the user named the server; otherwise it is the default.
        verbose: whether to show the client's whole log.
        log_format: `text` or `json`.
        proxy: the URL of a proxy, `environment`, or None.

    """

    endpoint: Endpoint
    token: str | None = attrs.field(repr=False)
    chosen: bool
    verbose: bool = False
    log_format: str = "text"
    proxy: str | None = attrs.field(default=None, repr=False)

    @property
    def formatter(self) -> logging.Formatter | None:
        """What makes lines of the log; None for plain text."""
        if self.log_format != "json":
            return None
        from derivtrio.cli.logs import JsonFormatter  # noqa: PLC0415 - few need it

        password = unquote(urlsplit(self.proxy or "").password or "") or None
        secrets = (self.token, getattr(self.endpoint, "token", None), password)
        return JsonFormatter([each for each in secrets if isinstance(each, str)])

    def note(self, level: int, text: object, **fields: str) -> None:
        """Say *text* on standard error: as it is, or as a record of a log in JSON."""
        if self.log_format == "json":
            record = logging.makeLogRecord(
                {"name": "derivtrio.cli", "levelno": level, "msg": text, **fields}
            )
            record.levelname = logging.getLevelName(level)
            formatter = self.formatter
            text = formatter.format(record) if formatter else text
        note(text)

    @property
    def shown(self) -> str:
        """Which server that is, for people; without secrets."""
        base, account = (getattr(self.endpoint, name, "") for name in ("base", "account_id"))
        return f"{account} at {shown_url(base)}" if account else shown_url(base)

    @property
    def log_level(self) -> int:
        """The level from which the client's log is shown."""
        return logging.DEBUG if self.verbose else logging.INFO

    def open(
        self, max_attempts: int | None = ATTEMPTS, *, wait_ready: bool = True, **more: Any
    ) -> AbstractAsyncContextManager[Client]:
        """Return a client that gives up after *max_attempts*, with *more* of `Settings`."""
        more |= {"max_attempts": max_attempts, "wait_ready": wait_ready, "proxy": self.proxy}
        settings = Settings(**more)
        return open_client(endpoint=self.endpoint, token=self.token, settings=settings)


def target_for(
    url: str | None,
    app_id: str,
    token: str | None,
    account: str | None = None,
    rest_url: str = REST_URL,
    **more: Any,
) -> Target:
    """Return the target that the options name. With an *account*, *rest_url* gives its URL.

    *more* are other attributes of the target: `verbose`, `log_format`, `proxy`.

    Raises:
        ValueError: an option is wrong, or two of them contradict each other.

    """
    if account is None:
        there = as_endpoint(url, app_id)
        if token is not None and speaks_options(there):
            text = "the Options API takes no token on its WebSocket; use --account, not --url"
            raise ValueError(text)
        checked_token(token)
        chosen = url is not None
        return Target(there, token, chosen, **more)
    if token is None:
        text = "--account needs a token for the account, in DERIV_TOKEN"
        raise ValueError(text)
    endpoint = OptionsAccount(account, app_id, token, base=rest_url)
    return Target(endpoint, None, chosen=True, **more)


def check_proxy(proxy: str | None) -> None:
    """Raise a ValueError if *proxy* is no proxy; it does not show the URL."""
    Settings(proxy=proxy)
    if proxy not in (None, ENVIRONMENT):
        parse_proxy(str(proxy))


def checked(check: Callable[[Any], object]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return a click callback that turns a ValueError of *check* into a usage error."""

    def callback(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        try:
            check(value)
        except ValueError as error:
            raise click.BadParameter(one_line(error)) from None
        return value

    return callback


_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_ACCOUNT_OPTION: Final = click.option(
    "--account",
    envvar="DERIV_ACCOUNT",
    show_envvar=True,
    metavar="ID",
    help="Connect to the Options API, for this account, such as DOT90004580.",
)

_CONNECTION_OPTIONS: Final = (
    click.option(
        "--url",
        envvar="DERIV_URL",
        show_envvar=True,
        help="The WebSocket URL to connect to, without --account.  [default: Deriv's v3 API]",
    ),
    click.option(
        "--app-id",
        envvar="DERIV_APP_ID",
        show_envvar=True,
        default="1089",
        show_default=True,
        callback=checked(lambda app_id: as_endpoint(None, app_id)),
        help="The id of your application at Deriv.",
    ),
    click.option(
        "--token",
        envvar="DERIV_TOKEN",
        show_envvar=True,
        callback=checked(checked_token),
        help="The token to authorize with. Set the variable instead: other users of this computer"
        " can see your command lines.",
    ),
    None,  # the place of `--account`
    click.option(
        "--rest-url",
        envvar="DERIV_REST_URL",
        show_envvar=True,
        default=REST_URL,
        show_default=True,
        help="Deriv's REST API, which gives the WebSocket URL for the --account.",
    ),
    click.option(
        "--proxy",
        envvar="DERIV_PROXY",
        show_envvar=True,
        metavar="URL",
        callback=checked(check_proxy),
        help="The proxy to go through, such as http://host:3128 or socks5h://host:1080; or"
        " 'environment' for what HTTPS_PROXY and so on say. Set the variable if it has a password.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Show the client's log on standard error."),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to write standard error; json has one object a line, with fields.",
    ),
)


def connecting(
    command: Callable[..., None], *, account: _Decorator = _ACCOUNT_OPTION
) -> Callable[..., None]:
    """Add the options that say where to connect; *command* gets them as a `Target`, first.

    *account* is the option `--account`, for a command that has an own use for it.
    """

    @functools.wraps(command)
    def with_target(
        *,
        url: str | None,
        app_id: str,
        token: str | None,
        account: str | None,
        rest_url: str,
        proxy: str | None,
        verbose: bool,
        log_format: str,
        **others: Any,
    ) -> None:
        more = {"verbose": verbose, "log_format": log_format, "proxy": proxy}
        try:
            target = target_for(url, app_id, token, account, rest_url, **more)
        except ValueError as error:
            raise click.UsageError(one_line(error)) from None
        command(target, **others)

    for option in reversed(_CONNECTION_OPTIONS):
        (option or account)(with_target)
    return with_target
