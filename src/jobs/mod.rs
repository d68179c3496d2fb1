//! Work that runs by itself. The scheduler and its jobs arrive with scheduled bill runs; a run itself is a verb in `actions`.

pub mod mailer;
