//! The shard over a fake driver and clock. Each file is one behaviour.

mod fake;
mod random;
mod rig;

mod deadlines;
mod fan_out_is_fair_and_joined;
mod kept_against_logic;
mod link_back_pressure;
mod links_change;
mod login_admit_hold;
mod members_against_oracle;
mod recall_and_expiry;
mod slow_reader_is_isolated;
mod spill_and_drained;
mod the_end;
mod topics;
