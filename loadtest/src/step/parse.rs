//! A step as text: `name`, or `name:key=value,key=value`.

use super::{Pushes, Step, Target};
use anyhow::{Context, Error, Result, bail, ensure};
use std::collections::BTreeMap;
use std::str::FromStr;

/// What is known of steps, for `--help`.
pub const HELP: &str = "\
Steps, done in the order given once all are logged in; NAME or NAME:KEY=VALUE,KEY=VALUE

  hold       seconds=10                          heartbeats only; nobody may be lost
  unicast    rate=500 count=2000                 one user after the other
  batch      rate=20000 count=100000 batch=500   the same, many in one request
  app        rate=2 count=20                     every client of the app
  topic      rate=50 count=500                   one topic after the other (--topics)
  broadcast  rate=2 count=20                     everybody
  saturate   rate=max count=2000 window=64       app pushes as fast as they are received
  busy       rate=200 count=1000 background=20   unicasts alone, then while broadcasts follow each other
  slow       share=0.01 rate=20 count=200        app pushes, then the same while a share reads nothing
  churn      rate=100 seconds=10                 clients leave and come back; kept pushes meanwhile
  storm      rate=200 count=1000                 unicasts alone, then while all others leave and come back at once
  crash      rate=200 count=1000                 kill -9 of the gateway, until all are back; kept pushes meanwhile
  upstream   rate=1000 count=10000               clients publish to the application

Pushing steps also know size=64 (bytes), kept (a flag), lines=64 (connections to the API), window=0 (pushes that may be on
their way to all receivers at once; 0: any number), receipts (a flag: in the end the server is asked what became of each push,
and its counts must be those of the receivers). rate=max: as fast as pushes are accepted.";

/// Bytes of content unless said otherwise.
const SIZE: usize = 64;
/// Connections that push unless said otherwise.
const LINES: u32 = 64;

/// What was written, taken out key by key.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Self> {
        let mut fields = BTreeMap::new();
        for field in text.split(',').filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').unwrap_or((field, "true"));
            ensure!(fields.insert(key, value).is_none(), "{key} is given twice");
        }
        Ok(Self(fields))
    }

    fn take<T: FromStr>(&mut self, key: &str, default: T) -> Result<T> {
        let Some(value) = self.0.remove(key) else { return Ok(default) };
        value.parse().ok().with_context(|| format!("{key}={value} cannot be understood"))
    }

    fn rate(&mut self, key: &str, default: f64) -> Result<f64> {
        let rate = match self.0.get(key) {
            Some(&"max") => {
                self.0.remove(key);
                f64::INFINITY
            }
            _ => self.take(key, default)?,
        };
        ensure!(rate > 0.0, "{key} must be above 0");
        Ok(rate)
    }

    fn pushes(&mut self, target: Target, rate: f64, count: u32) -> Result<Pushes> {
        let pushes = Pushes {
            target,
            rate: self.rate("rate", rate)?,
            count: self.take("count", count)?,
            size: self.take("size", SIZE)?,
            kept: self.take("kept", false)?,
            batch: self.take("batch", 1)?,
            lines: self.take("lines", LINES)?,
            window: self.take("window", 0)?,
            receipts: self.take("receipts", false)?,
        };
        ensure!(pushes.count > 0 && pushes.batch > 0 && pushes.lines > 0, "counts begin at 1");
        Ok(pushes)
    }

    fn end(self) -> Result<()> {
        match self.0.keys().next() {
            Some(key) => bail!("there is no {key} here"),
            None => Ok(()),
        }
    }
}

impl FromStr for Step {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, fields) = text.split_once(':').unwrap_or((text, ""));
        let mut fields = Fields::read(fields)?;
        let step = Self::read(name, &mut fields).with_context(|| format!("step {text}"))?;
        fields.end().with_context(|| format!("step {text}"))?;
        Ok(step)
    }
}

impl Step {
    fn read(name: &str, fields: &mut Fields<'_>) -> Result<Self> {
        let kept = |pushes: Pushes| Pushes { kept: true, ..pushes };
        Ok(match name {
            "hold" => Self::Hold { seconds: fields.rate("seconds", 10.0)? },
            "unicast" => Self::Push(fields.pushes(Target::User, 500.0, 2_000)?),
            "batch" => {
                let batch = fields.take("batch", 500)?;
                let lines = fields.take("lines", 8)?;
                let pushes = fields.pushes(Target::User, 20_000.0, 100_000)?;
                Self::Push(Pushes { batch, lines, ..pushes })
            }
            "app" => Self::Push(fields.pushes(Target::App, 2.0, 20)?),
            "topic" => Self::Push(fields.pushes(Target::Topic, 50.0, 500)?),
            "broadcast" => Self::Push(fields.pushes(Target::Everyone, 2.0, 20)?),
            "saturate" => {
                let window = fields.take("window", 64)?;
                let pushes = fields.pushes(Target::App, f64::INFINITY, 2_000)?;
                Self::Push(Pushes { window, ..pushes })
            }
            "busy" => {
                let count = fields.take("background", 20)?;
                let measured = fields.pushes(Target::Probe, 200.0, 1_000)?;
                let background = Pushes {
                    target: Target::Everyone,
                    rate: f64::INFINITY,
                    count,
                    batch: 1,
                    lines: 1,
                    window: 1,
                    ..measured.clone()
                };
                Self::Busy { measured, background }
            }
            "slow" => {
                let share = fields.take("share", 0.01)?;
                ensure!((0.0..1.0).contains(&share), "share must be from 0 to below 1");
                Self::Slow { share, measured: fields.pushes(Target::App, 20.0, 200)? }
            }
            "churn" => {
                let (rate, seconds) = (fields.rate("rate", 100.0)?, fields.rate("seconds", 10.0)?);
                let pushes = (seconds * 100.0) as u32;
                Self::Churn {
                    rate,
                    seconds,
                    kept: kept(fields.pushes(Target::User, 100.0, pushes)?),
                }
            }
            "storm" => Self::Storm { measured: fields.pushes(Target::Probe, 200.0, 1_000)? },
            "crash" => Self::Crash { kept: kept(fields.pushes(Target::User, 200.0, 1_000)?) },
            "upstream" => Self::Upstream {
                rate: fields.rate("rate", 1_000.0)?,
                count: fields.take("count", 10_000)?,
                size: fields.take("size", SIZE)?,
            },
            _ => bail!("there is no such step; --help lists them"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_defaults_and_what_is_given() {
        assert_eq!("hold:seconds=2.5".parse::<Step>().unwrap(), Step::Hold { seconds: 2.5 });
        let Step::Push(pushes) = "app:rate=max,kept,size=100".parse().unwrap() else { panic!() };
        assert!(pushes.rate.is_infinite() && pushes.kept);
        assert_eq!((pushes.count, pushes.size, pushes.lines), (20, 100, 64));
        let Step::Push(batch) = "batch:count=7".parse().unwrap() else { panic!() };
        assert_eq!((batch.count, batch.batch, batch.kept), (7, 500, false));
    }

    #[test]
    fn every_step_that_help_names_is_known() {
        let names = HELP.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let names: Vec<_> = names.collect();
        assert!(names.len() >= 13, "{names:?}");
        for name in names {
            name.parse::<Step>().unwrap();
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_it() {
        for (text, named) in [
            ("dance", "dance"),
            ("hold:minutes=3", "minutes"),
            ("app:rate=fast", "rate=fast"),
            ("app:rate=-1", "rate"),
            ("app:count=0", "counts"),
            ("app:count=1,count=2", "count"),
            ("slow:share=1", "share"),
        ] {
            let error = format!("{:#}", text.parse::<Step>().unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
