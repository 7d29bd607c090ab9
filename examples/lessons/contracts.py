"""The contract that the lessons buy, at the simulator and for play money."""

#: It rises or falls within an hour, and can be sold before.
CONTRACT = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 60,
    "duration_unit": "m",
}
