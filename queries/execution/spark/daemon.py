"""What Spark starts in each executor to fork Python workers from.

It loads and compiles the kernel first. A worker is a fork of this process, so that no query waits for Numba, and a
worker that was idle and ended costs a fork and no second start.
"""

import gc
import runpy

from queries.execution.spark import tasks

if __name__ == "__main__":
    tasks.warm()
    # PySpark collects garbage after each task. What is loaded now stays, so the collector need not walk it each time.
    gc.collect()
    gc.freeze()
    runpy.run_module("pyspark.daemon", run_name="__main__")
