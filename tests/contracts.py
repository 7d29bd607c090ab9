"""Contracts that several tests buy."""

RISE = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 10,
    "duration_unit": "m",
}

MULTIPLIER = {
    "contract_type": "MULTUP",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "multiplier": 100,
}
