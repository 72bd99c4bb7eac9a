//! The program as operators run it: started, pushed to, killed, started again, taken apart.

#[cfg(all(feature = "redis", feature = "etcd"))]
mod found_in_a_registry;
mod live_heap_is_told;
mod refusals;
mod roles_apart;
mod stop_and_start_again;
mod support;
mod tools;
