//! What can happen in the town: said once, told to the program by its verbs and to the model by its own rules.

use crate::rules::Day;

/// How a read came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Actual,
    Estimated,
    Customer,
    Final,
    /// The last of a meter that is taken out.
    Removal,
    /// The first of the meter that is put in.
    Installation,
}

/// One read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRow {
    pub meter: String,
    pub on: Day,
    pub milli: i128,
    /// Whether it is so high that it must wait for a clerk.
    pub doubtful: bool,
}

/// A service as its file brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    pub account: String,
    pub service: String,
    pub schedule: &'static str,
    pub class: &'static str,
    pub attributes: Vec<(&'static str, String)>,
    pub start: Day,
    /// Its own meter with the digits of its register.
    pub meter: Option<(String, u32)>,
    /// The service at whose premise it is, and whose meter measures it.
    pub beside: Option<String>,
}

/// How a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Plain,
    /// Priced, looked at, thrown away.
    Discarded,
    /// Stopped while its bills go out, and begun again by the same command.
    Interrupted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Services(Vec<ServiceRow>),
    /// A file of reads.
    Reads(Vec<ReadRow>),
    /// A customer's own read.
    OwnRead {
        meter: String,
        on: Day,
        milli: i128,
    },
    /// Everything that was not read on a day is estimated.
    Estimate {
        on: Day,
    },
    Exchange {
        service: String,
        old: String,
        last_milli: i128,
        new: String,
        digits: u32,
    },
    /// The held read of a meter is right after all.
    Release {
        meter: String,
    },
    /// It is wrong.
    Reject {
        meter: String,
    },
    /// An accepted read is wrong.
    SetAside {
        meter: String,
        on: Day,
    },
    Run {
        through: Day,
        how: How,
    },
    /// The last issued run is rolled back.
    RollBack,
    /// A file of payments: account, cents, reference. Without cents the whole balance is paid, if any is owed.
    Payments(Vec<(String, Option<i128>, String)>),
    /// Cash at the counter.
    Cash {
        account: String,
        cents: i128,
        reference: String,
    },
    Return {
        reference: String,
    },
    Adjust {
        account: String,
        reason: &'static str,
        cents: i128,
        reference: String,
    },
    Refund {
        account: String,
        reference: String,
    },
    Transfer {
        from: String,
        to: String,
        reference: String,
    },
    Owner {
        service: String,
        account: String,
    },
    Leaves {
        account: String,
        service: String,
        meter: String,
        milli: i128,
    },
    /// With a read when nobody left on this day.
    Comes {
        account: String,
        service: String,
        read: Option<(String, i128)>,
    },
    Terms {
        service: String,
        from: Day,
        class: Option<&'static str>,
        attributes: Vec<(&'static str, String)>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub on: Day,
    pub what: What,
}
