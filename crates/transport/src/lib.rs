//! Byte pipes behind one Transport trait: drivers by scheme, and layers that wrap any of them.
