"""What derivtrio costs beside other Python clients: `python -m tests.benchmarks --help`.

A load server in a process of its own speaks enough of Deriv's JSON (`server`, `wire`). Each client
(`contestants`, `clients/`) is measured in a fresh process, in an environment of its own where it
needs packages that are not ours (`environments`), doing what `scenarios` says. The main program
starts them in turn (`contest`), round after round, so that a disturbance of the machine hits all
alike, and prints medians (`report`) and whether what is promised holds (`promises`).

All traffic stays on the loopback interface, and everything ends by itself.
"""
