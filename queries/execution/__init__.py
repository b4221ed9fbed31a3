"""Plan -> exact bounded integers: the engine's SQL, the stream of events and the kernel."""
