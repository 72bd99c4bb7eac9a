//! Load generator and end-to-end suite.
