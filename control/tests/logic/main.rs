//! Logic between a real store, routes in memory, a queue in memory and gateways that follow a script. One behaviour per file.

mod support;

mod acknowledgements_move_the_cursor;
mod an_expired_push_is_not_sent;
mod broken_gateway_counts_as_done;
mod clients_messages_find_their_way;
mod commit_follows_outcomes;
mod crash_loses_nothing;
mod each_type_reaches_its_receivers;
mod instances_share_gateways;
mod joins_replay_first;
mod logins_above_the_rate_come_back_later;
mod newer_connection_replaces_older;
mod offline_push_is_replayed_at_login;
mod recalled_is_not_delivered;
mod spill_is_replayed_once_drained;
mod stale_route_is_looked_up_again;
mod starved_gateway_delays_only_itself;
mod unacknowledged_is_sent_again_then_given_up;
