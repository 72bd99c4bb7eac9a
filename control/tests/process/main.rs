//! The program as operators run it: started, pushed to, killed, started again, taken apart.

mod refusals;
mod roles_apart;
mod stop_and_start_again;
mod support;
mod tools;
