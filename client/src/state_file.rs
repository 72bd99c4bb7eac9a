//! Positions in a file, so that a client that is started again goes on where it was.

use crate::core::{Positions, Topic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file's form.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Stored {
    epoch: u64,
    own: Option<u64>,
    app: Option<u64>,
    everyone: Option<u64>,
    topics: BTreeMap<String, Option<u64>>,
}

/// A file with the positions of one user on one device.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    written: Positions,
}

impl StateFile {
    /// Reads the file; one that does not exist has no positions.
    ///
    /// # Errors
    /// It cannot be read, or is no such file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let stored: Stored = match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Stored::default(),
            Err(error) => return Err(error),
        };
        let topics = stored.topics.into_iter();
        let written = Positions {
            epoch: stored.epoch,
            channels: [stored.own, stored.app, stored.everyone],
            topics: topics.map(|(name, seq)| (name, Topic { seq })).collect(),
        };
        Ok(Self { path: path.to_owned(), written })
    }

    /// What was read or last written.
    pub fn positions(&self) -> &Positions {
        &self.written
    }

    /// Replaces the file's content as a whole, if it changed: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store(&mut self, positions: Positions) -> io::Result<()> {
        if positions == self.written {
            return Ok(());
        }
        let [own, app, everyone] = positions.channels;
        let topics = positions.topics.iter().map(|(name, at)| (name.clone(), at.seq)).collect();
        let stored = Stored { epoch: positions.epoch, own, app, everyone, topics };
        let new = self.path.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        self.written = positions;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_and_refuses_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state = StateFile::open(&path).unwrap();
        assert_eq!(state.positions(), &Positions::default());
        let topics = BTreeMap::from([
            ("news".to_owned(), Topic { seq: Some(7) }),
            ("x".into(), Topic { seq: None }),
        ]);
        let positions = Positions { epoch: 9, channels: [Some(u64::MAX), None, Some(0)], topics };
        state.store(positions.clone()).unwrap();
        assert_eq!(StateFile::open(&path).unwrap().positions(), &positions);
        std::fs::write(&path, "{\"what\": 1}").unwrap();
        assert!(StateFile::open(&path).is_err());
    }
}
