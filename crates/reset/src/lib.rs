//! Factory reset: a pure plan, and an executor that only obeys it.
