//! The mailer: brings the outbox together with the way out. A thread of `serve`, and the command `notices send`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};

use crate::actions::bill_words::BillWords;
use crate::actions::notices::deliver::{self, Counts};
use crate::actions::show_bill::show_bill;
use crate::actions::{ActionError, Context};
use crate::domain::notices::{Facts, Letter, Outcome};
use crate::mail::Carrier;
use crate::mail::message::Attachment;
use crate::pdf;

/// How often it is looked for claims of programs that are no more.
const LOOK_FOR_THE_DEAD: TimeDelta = TimeDelta::minutes(1);

/// Sends what is due until it is told to stop, in a thread of its own.
pub struct Mailer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mailer {
    /// Starts. When the settings say that nothing is sent (`mail.transport = "off"`), there is nothing to start.
    ///
    /// # Errors
    /// [`ActionError::Refused`] naming the setting that cannot be used.
    pub fn start(context: &Context) -> Result<Self, ActionError> {
        let stop = Arc::new(AtomicBool::new(false));
        let Some(round) = Round::open(context)? else { return Ok(Self { stop, thread: None }) };
        let told = Arc::clone(&stop);
        Ok(Self { stop, thread: Some(thread::spawn(move || keep_sending(round, &told))) })
    }

    /// Stops after the letter that is being sent; what is claimed and not sent is given back.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                log::warn!("the mailer ended badly; what it had claimed is free again when its claim runs out");
            }
        }
    }
}

fn keep_sending(mut round: Round, stop: &AtomicBool) {
    let poll = Duration::from_secs(u64::from(round.context.config.mail.poll_seconds));
    while !stop.load(Ordering::Acquire) {
        match round.send_due(&|| stop.load(Ordering::Acquire)) {
            Ok(counts) if counts != Counts::default() => {
                log::info!(
                    "notices: {} sent, {} postponed, {} unanswered, {} bounced, {} given up, {} suppressed",
                    counts.sent,
                    counts.postponed,
                    counts.unanswered,
                    counts.bounced,
                    counts.given_up,
                    counts.suppressed
                );
            }
            Ok(_) => {}
            Err(error) => log::error!("notices cannot be sent: {error}"),
        }
        if !stop.load(Ordering::Acquire) {
            thread::park_timeout(poll);
        }
    }
}

/// One who sends: a holder of claims with a way out.
pub struct Round {
    context: Context,
    carrier: Carrier,
    holder: String,
    prepared_at: Option<NaiveDateTime>,
}

impl Round {
    /// Opens the way out that the settings name; none when nothing is sent.
    ///
    /// # Errors
    /// [`ActionError::Refused`] naming the setting that cannot be used.
    pub fn open(context: &Context) -> Result<Option<Self>, ActionError> {
        let carrier = Carrier::open(&context.config).map_err(ActionError::Refused)?;
        let round = |carrier| Self { context: context.clone(), carrier, holder: deliver::new_holder(), prepared_at: None };
        Ok(carrier.map(round))
    }

    /// Sends what is due now. Ends early when the server cannot be used, or when it is told to stop.
    ///
    /// # Errors
    /// Those of the database.
    pub fn send_due(&mut self, stop: &dyn Fn() -> bool) -> Result<Counts, ActionError> {
        let now = self.context.now();
        if self.prepared_at.is_none_or(|at| now - at >= LOOK_FOR_THE_DEAD) {
            deliver::prepare(&self.context)?;
            self.prepared_at = Some(now);
        }
        let mut counts = Counts::default();
        let outcome = self.send_batches(stop, &mut counts);
        self.carrier.close();
        outcome.map(|()| counts)
    }

    fn send_batches(&mut self, stop: &dyn Fn() -> bool, counts: &mut Counts) -> Result<(), ActionError> {
        loop {
            let letters = deliver::claim(&self.context, &self.holder, counts)?;
            if letters.is_empty() {
                return Ok(());
            }
            let mut down: Option<Outcome> = None;
            for claimed in &letters {
                if stop() {
                    return deliver::release(&self.context, &self.holder);
                }
                // A server that just could not be reached is not asked for every letter of the batch.
                let outcome = match &down {
                    Some(down) => down.clone(),
                    None => self.send(claimed)?,
                };
                deliver::settle(&self.context, &self.holder, claimed, &outcome, counts)?;
                if matches!(outcome, Outcome::Failed { server: true, .. }) {
                    down = Some(outcome);
                }
            }
            if down.is_some() {
                return Ok(());
            }
        }
    }

    fn send(&mut self, claimed: &deliver::Claimed) -> Result<Outcome, ActionError> {
        let mut fault = None;
        let attachment = attachment(&self.context, &claimed.letter)?;
        let outcome = self.carrier.send(&self.context.config, &claimed.letter, attachment.as_ref(), &mut || {
            deliver::hand_over(&self.context, &self.holder, claimed.letter.id).unwrap_or_else(|error| {
                fault = Some(error);
                false
            })
        });
        fault.map_or(Ok(outcome), Err)
    }
}

/// The bill that a letter is about, as a file, where the utility wants it so. It is made now, in the words of its issue: what
/// was paid since does not change it, and a bill that was taken back meanwhile says so. A bill that cannot be made into a file does not keep its letter back, whose link leads
/// to the same bill.
fn attachment(context: &Context, letter: &Letter) -> Result<Option<Attachment>, ActionError> {
    let Facts::BillReady(ready) = &letter.facts else { return Ok(None) };
    if !context.config.mail.attach_bill {
        return Ok(None);
    }
    let made = match show_bill(context, &ready.bill_number) {
        Ok(bill) => pdf::bill(&BillWords::as_issued(&bill, context), &context.config).map_err(|error| error.to_string()),
        Err(error @ ActionError::Database(_)) => return Err(error),
        Err(error) => Err(error.to_string()),
    };
    match made {
        Ok(content) => Ok(Some(Attachment { name: pdf::file_name(&ready.bill_number), media_type: "application/pdf", content })),
        Err(error) => {
            log::error!("bill {} goes without its file: {error}", ready.bill_number);
            Ok(None)
        }
    }
}
