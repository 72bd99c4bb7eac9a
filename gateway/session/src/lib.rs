//! One connection's protocol as a state machine without I/O or clock.
