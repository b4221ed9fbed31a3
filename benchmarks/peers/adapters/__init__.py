"""One module for each tool: it answers the questions, in a process and an environment of its own.

A runner starts `python -m benchmarks.peers.adapters.NAME FOLDER`. Only the standard library and the tool's own packages
are there. Therefore these modules import nothing else of this project than `benchmarks/peers/adapters/speaking.py` and
`benchmarks/peers/questions.py`.
"""
