"""One-time passwords: what opens a connection for an account of the Options API.

Each is good for one connection and for 120 seconds (Deriv's OpenAPI description). They look random
and follow from the simulator's seed.
"""

import hashlib

import attrs

VALID_FOR = 120


@attrs.define(eq=False)
class OneTimePasswords:
    """The passwords that have been issued and not been used yet."""

    seed: int
    _issued: int = attrs.field(default=0, init=False)
    _valid: dict[str, tuple[str, float]] = attrs.field(factory=dict, init=False, repr=False)

    def issue(self, loginid: str, now: float) -> str:
        """Return a new password for the account *loginid*; *now* is an epoch."""
        self._valid = {otp: (who, end) for otp, (who, end) in self._valid.items() if end > now}
        self._issued += 1
        name = f"{self.seed}/otp/{self._issued}".encode()
        otp = hashlib.blake2b(name, digest_size=24).hexdigest()
        self._valid[otp] = loginid, now + VALID_FOR
        return otp

    def redeem(self, otp: str, now: float) -> str | None:
        """Use up *otp* and return the account that it was issued for, if it is valid still."""
        loginid, end = self._valid.pop(otp, (None, 0.0))
        return loginid if now < end else None
