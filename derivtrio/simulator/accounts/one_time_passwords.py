"""One-time passwords, in the URL of a connection for an account of the Options API.

Each is valid for one connection and for 120 seconds (Deriv's OpenAPI description). They look
random, and are a function of the simulator's seed.
"""

import hashlib

import attrs

#: Seconds.
VALID_FOR = 120


@attrs.define(eq=False)
class OneTimePasswords:
    """The passwords that were issued and not used yet."""

    seed: int
    _issued: int = attrs.field(default=0, init=False)
    _valid: dict[str, tuple[str, float]] = attrs.field(factory=dict, init=False, repr=False)

    def issue(self, loginid: str, now: float) -> str:
        """Return a new password for the account *loginid*; *now* is an epoch in seconds."""
        self._valid = {otp: (owner, end) for otp, (owner, end) in self._valid.items() if end > now}
        self._issued += 1
        name = f"{self.seed}/otp/{self._issued}".encode()
        otp = hashlib.blake2b(name, digest_size=24).hexdigest()
        self._valid[otp] = loginid, now + VALID_FOR
        return otp

    def redeem(self, otp: str, now: float) -> str | None:
        """Use up *otp* and return the login id that it belongs to; `None` if it is not valid."""
        loginid, end = self._valid.pop(otp, (None, 0.0))
        return loginid if now < end else None
