//! The gateway as clients, logic and operators see it: real sockets, a scripted logic, on both drivers, attached both ways.

mod support;

mod a_cut_link_is_announced_again;
mod accepts_over_the_limit_are_closed;
mod exit_codes_are_kept;
mod garbage_costs_only_its_sender;
mod login_push_ack;
mod metrics_are_readable;
mod shutdown_says_goodbye;
mod the_link_secret_is_asked_for;
mod topics_are_known_before_they_are_answered;
mod two_logics_share_the_sessions;
