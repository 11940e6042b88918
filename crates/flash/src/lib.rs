//! The flash protocol: wire format, host and device machines without I/O, and the loops that drive them.
