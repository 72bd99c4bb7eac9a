//! Replays what fuzzing has found worth keeping (`fuzz/corpus`), with the entry points that the fuzz targets use.

use gpusher_session::fuzz::life;
use std::fs;
use std::path::Path;

#[test]
fn life_corpus_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/life");
    let mut replayed = 0;
    for entry in fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("readable").path();
        println!("{}", path.display());
        life(&fs::read(&path).expect("readable"));
        replayed += 1;
    }
    assert!(replayed > 0);
}
