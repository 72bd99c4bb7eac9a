//! Every group runs and gives figures, so that none can rot.

use gpusher_bench::GROUPS;
use gpusher_bench::timing::Effort;

#[test]
fn every_group_gives_figures() {
    for (name, take) in GROUPS {
        let figures = take(Effort::TOY);
        assert!(!figures.is_empty(), "{name}");
        for figure in figures {
            assert!(figure.median_ns > 0.0, "{name}: {}", figure.name);
        }
    }
}
