//! One shard on each real driver, turned by the test's own thread, with the test in the place of the link and of logic.

mod harness;

mod broadcasts_reach_everybody_in_order;
mod last_words_arrive;
mod slow_reader_spills_and_drains;
