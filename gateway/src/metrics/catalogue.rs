//! A list of values as an enum: each variant's documentation is the help text that operators read.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Whether a value goes only up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Only increases while the process runs.
    Counter,
    /// A present amount.
    Gauge,
}

/// An enum of values to keep.
pub trait Catalogue: Copy + 'static {
    /// All of them, in the order of their indexes.
    const ALL: &'static [Self];
    /// Place in [`Catalogue::ALL`].
    fn index(self) -> usize;
    /// Name at `/metrics`, without prefix.
    fn name(self) -> &'static str;
    /// What it says, with its unit.
    fn help(self) -> &'static str;
    /// Counter or gauge.
    fn shape(self) -> Shape;
}

/// Declares an enum and its [`Catalogue`].
macro_rules! catalogue {
    ($(#[$meta:meta])* pub enum $enum:ident {
        $($(#[doc = $help:literal])+ $variant:ident = $shape:ident $name:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $enum { $($(#[doc = $help])+ $variant,)+ }

        impl $crate::metrics::Catalogue for $enum {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];
            fn index(self) -> usize {
                self as usize
            }
            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
            fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($help),+).trim_ascii(),)+ }
            }
            fn shape(self) -> $crate::metrics::Shape {
                match self { $(Self::$variant => $crate::metrics::Shape::$shape,)+ }
            }
        }
    };
}
pub(crate) use catalogue;

/// The values of one writer: one thread or task adds and sets, so that needs no locked instruction; anybody reads.
#[derive(Debug)]
pub struct Counts<C> {
    values: Box<[AtomicU64]>,
    of: PhantomData<C>,
}

impl<C: Catalogue> Default for Counts<C> {
    fn default() -> Self {
        Self { values: C::ALL.iter().map(|_| AtomicU64::new(0)).collect(), of: PhantomData }
    }
}

impl<C: Catalogue> Counts<C> {
    /// Adds. Only for the one writer.
    pub fn add(&self, what: C, amount: u64) {
        bump(&self.values[what.index()], amount);
    }

    /// Sets a gauge. Only for the one writer.
    pub fn set(&self, what: C, amount: u64) {
        self.values[what.index()].store(amount, Relaxed);
    }

    /// The present value.
    pub fn get(&self, what: C) -> u64 {
        self.values[what.index()].load(Relaxed)
    }
}

/// Adds for a single writer.
pub(super) fn bump(value: &AtomicU64, amount: u64) {
    value.store(value.load(Relaxed).wrapping_add(amount), Relaxed);
}
