"""What Deriv's API v3 says about messages: their envelope, the calls, and the checks of requests.

Imports nothing of the simulator. Begin with `envelope`, then `call_definitions`; `validation`
checks a request against its definition.
"""
