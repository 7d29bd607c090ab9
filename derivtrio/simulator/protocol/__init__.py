"""What Deriv's API v3 says about messages: their envelope, the calls, and the checks of requests.

- `envelope`: the members that every reply has around its payload; refusals.
- `call_definitions`: the calls that the simulator answers; `not_simulated`: those that it does not.
- `field_schemas`: the fields that describe a contract. `validation`: a request, checked.

Imports nothing of the simulator. Begin with `envelope`, then `call_definitions`.
"""
