//! The whole system as a user meets it: the program in development mode, HTTP on one side, raw bytes on the client port on
//! the other. One behaviour a file.

mod bad_input_costs_its_sender_alone;
mod each_push_reaches_exactly_its_devices;
mod forerunner_client_works_unchanged;
mod kill_loses_nothing;
mod offline_push_arrives_once_in_order;
mod python_client_works;
#[cfg(feature = "kafka")]
mod queue_on_kafka;
mod support;
mod upstream_presence_and_kick;
mod version_1_acknowledges_and_resumes;
