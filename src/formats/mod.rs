//! The forms of files: tables in CSV, journals for other accounting programs, what banks send and what they are sent. Text in, values out, and back.
//!
//! What belongs here: reading and writing a file's form. What does not: what a row means to the utility.

pub mod bank;
pub mod journal;
pub mod payouts;
pub mod table;
