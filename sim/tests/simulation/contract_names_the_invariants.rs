//! Each invariant is named in the section of the contract that it cites, and nowhere else.

use gpusher_sim::Invariant;

#[test]
fn each_is_in_its_section() {
    let contract = include_str!("../../../docs/DELIVERY.md");
    for invariant in Invariant::ALL {
        let name = format!("{invariant:?}");
        let sections = contract.split("\n## ").filter(|section| section.contains(&name));
        let titles: Vec<&str> = sections.filter_map(|section| section.lines().next()).collect();
        assert_eq!(titles, [invariant.section()], "{name}");
    }
}
