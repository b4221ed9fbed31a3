"""How requests arrive: a worker of gunicorn that serves with waitress.

gunicorn's master starts the worker anew when it dies, and stops it in order. Its own workers give a thread to each
connection, so a few silent connections stop the service: eight partial requests held all eight threads for as long as
they liked. waitress reads all connections in one thread and hands a request to another thread only after all of it has
arrived, so a slow connection costs a file handle. `channel.py` adds what waitress lacks: deadlines for each request,
and refusals as problem documents. `worker.py` runs the two together.
"""
