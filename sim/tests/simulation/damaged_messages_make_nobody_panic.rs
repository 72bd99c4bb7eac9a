//! Whatever gateways, logic and clients say to each other, in whatever state they are: nobody panics.

use gpusher_proto::wire::fuzz::inputs;
use gpusher_sim::{Options, run};

#[test]
fn nobody_panics() {
    let mut damaged = 0;
    for seed in inputs(12) {
        let options = Options { damage_permille: 300, ..Options::of(seed as u64) };
        let report = run(options);
        if let Some(violation) = report.violation {
            panic!("{violation}\n{}\nagain: {}", report.tail.join("\n"), report.options);
        }
        damaged += report.damaged;
    }
    println!("{damaged} damaged messages");
    assert!(damaged > 100, "hardly anything was damaged");
}
