//! Every protocol test across every transport.
