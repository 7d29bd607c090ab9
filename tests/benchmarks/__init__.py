"""What derivtrio costs beside other Python clients: `python -m tests.benchmarks --help`.

A load server in a process of its own speaks enough of Deriv's JSON (`server`, `wire`). Each client
(`contestants`, `clients/`) is measured in a fresh process, in an environment of its own where it
needs packages that are not ours (`environments`), doing what `scenarios` lists and `acts` does. The
main program starts them in turn (`contest`), round after round of all scenarios, so that a
disturbance of the machine hits all alike, and prints medians (`report`, `medians`) and whether what
is promised holds (`promises`).

`--also before=PATH` measures the derivtrio of another checkout beside ours, each in an environment
made for it. The clients use nothing of derivtrio but what is public.

All traffic stays on the loopback interface, and everything ends by itself.
"""
