//! What the simulator finds, and what it stands on.

mod canaries_are_found;
mod contract_names_the_invariants;
mod damaged_messages_make_nobody_panic;
mod same_seed_same_run;
mod seeds_keep_the_promises;
mod store_and_queue_pass_the_suites;
